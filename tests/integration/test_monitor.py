"""The monitor beside workers: what it shows is right at every moment, and changes are told."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading

import pytest

from quince import ProcessHandle, Workspace, submit
from quince.errors import InvalidFilter
from quince.hosts.output_files import OutputFiles
from quince.monitor.history import Doing
from quince.monitor.monitor import Monitor
from quince.monitor.words import Shown
from quince.rotation import rotate
from quince_persistence.records import ProcessRow, State
from tests import flows
from tests.crew import Crew, eventually
from tests.integration import wait_flows

WIDE = 12


def stands_between(seen: ProcessRow, before: ProcessRow | None, after: ProcessRow | None) -> bool:
    """A row that was read between two others may be either, or one that lies between them."""
    if seen in (before, after):
        return True
    return after is not None and (before is None or before.updated <= seen.updated <= after.updated)


def truth(row: ProcessRow) -> Doing:
    """What a process does that lives, as its row says."""
    if row.paused:
        return Doing.PAUSED
    if row.awaiting:
        return Doing.WAITING
    return Doing.QUEUED if row.owner is None else Doing.RUNNING


def test_a_tree_is_right_at_every_moment(home: Workspace, crew: Crew) -> None:
    crew.start()
    monitor = Monitor(home)
    top = submit(flows.Family, children=WIDE, seconds=0.05, workspace=home)
    looks, told = 0, 0
    with monitor.changes() as changes:
        while not monitor.row(top.pid).terminated:
            before = {row.pid: row for row in home.store.tree(top.pid)}
            tree = monitor.tree(top.pid)
            timeline = monitor.timeline(top.pid)
            after = {row.pid: row for row in home.store.tree(top.pid)}
            for node in tree:
                assert stands_between(node.row.row, before.get(node.pid), after[node.pid])
                assert sum(node.tally.values()) == node.child_count
            for row in timeline.rows:
                bars = timeline.of(row.pid)
                assert bars or row.age < 1
                assert all(one.end == other.start for one, other in itertools.pairwise(bars))
                assert row.terminated or not bars or bars[-1].doing is truth(row.row)
            assert {row.pid for row in timeline.rows} >= before.keys()
            change = changes.next()
            assert change is not None
            looks, told = looks + 1, told + change.told
    assert looks > 1
    assert told > 0

    tree, timeline = monitor.tree(top.pid), monitor.timeline(top.pid)
    assert tree.tally == {Shown.FINISHED: WIDE}
    rows = {row.pid: row for row in home.store.tree(top.pid)}
    assert {node.pid: node.row.row for node in tree} == rows
    for pid, found in rows.items():
        bars = timeline.of(pid)
        assert (bars[0].start, bars[-1].end) == (found.created, found.ended)
        running = [bar for bar in bars if bar.doing is Doing.RUNNING]
        assert all(bar.worker and bar.host and bar.step for bar in running)
        assert not any(bar.open for bar in bars)
    steps = [bar.step for bar in timeline.of(top.pid) if bar.doing is Doing.RUNNING]
    assert steps[0] == "launch"
    path = sorted((bar.start, bar.end) for bar in timeline.bars if bar.critical)
    assert (path[0][0], path[-1][1]) == (timeline.start, timeline.end)
    details = monitor.process(top.pid)
    assert details.outputs == top.outputs
    assert details.why.sentence.startswith("it finished")
    assert (
        abs(
            sum((details.durations.queued, details.durations.running, details.durations.waiting))
            - (
                rows[top.pid].ended - rows[top.pid].created  # type: ignore[operator]
            )
        )
        < 0.01
    )


def test_a_chain_that_waits_twice_in_memory_is_drawn_as_waiting_twice(home: Workspace, crew: Crew) -> None:
    crew.start(linger=60.0)
    top = submit(wait_flows.Twice, workspace=home)
    monitor = Monitor(home)
    looks = 0
    while not top.row.terminated:
        timeline = monitor.timeline(top.pid)
        for row in timeline.rows:
            bars = timeline.of(row.pid)
            assert row.terminated or not bars or bars[-1].doing is truth(row.row)
        looks += 1
    assert looks
    done = [(bar.doing, bar.step) for bar in monitor.timeline(top.pid).of(top.pid)]
    assert [one for one in done if one[0] is not Doing.QUEUED] == [
        (Doing.RUNNING, "first"), (Doing.WAITING, None), (Doing.RUNNING, "second"), (Doing.WAITING, None),
        (Doing.RUNNING, "third"),
    ]  # fmt: skip


def test_changes_are_told_to_threads_and_coroutines_until_they_are_closed(home: Workspace) -> None:
    monitor = Monitor(home)
    one, other = (submit(flows.add, x=1, workspace=home) for _ in range(2))
    with monitor.changes([one.pid]) as mine, monitor.changes() as every:
        other.kill("x")
        one.kill("x")
        heard: set[int] = set()
        while one.pid not in heard:
            change = mine.next(30)
            assert change is not None
            assert change.pids <= {one.pid}
            heard |= change.pids
        eventually(lambda: {one.pid, other.pid} & every.next(5).pids)  # type: ignore[union-attr]
        closed = threading.Timer(0.2, every.close)
        closed.start()
        for change in every:
            assert change is not None
        closed.join()

    async def look() -> int:
        third = submit(flows.add, x=1, workspace=home)
        with monitor.changes() as changes:
            await asyncio.to_thread(third.kill, "x")
            async for change in changes:
                if third.pid in change.pids:
                    asyncio.get_running_loop().call_later(0.1, changes.close)
                if ProcessHandle(third.pid, home).state is State.KILLED and change.told:
                    return third.pid
        return 0

    asyncio.run(asyncio.wait_for(look(), 30))


def test_workers_say_how_they_are(home: Workspace, crew: Crew) -> None:
    crew.start()
    monitor = Monitor(home)
    worker = eventually(lambda: next((one for one in monitor.workers() if one.memory), None))
    assert worker is not None
    assert (worker.alive, worker.state) == (True, "running")
    assert worker.processors
    assert worker.memory is not None
    assert worker.memory > 1 << 20


def test_what_is_printed_comes_piece_by_piece_though_its_file_is_begun_anew(home: Workspace) -> None:
    monitor = Monitor(home)
    handle = submit(flows.add, x=1, workspace=home)
    assert "it has printed nothing" in str(monitor.printed(handle.pid).why)
    files = OutputFiles(home.location.folder)
    files.folder.mkdir(parents=True)
    file = files.of(handle.pid)
    text, after = "", "x"
    for number in range(60):
        with file.open("ab") as stream:
            stream.write(f"ünï→{number} ".encode() * 5 + b"\n")
        if number == 20:
            assert rotate(file, 700)
        if number == 0:
            first = monitor.printed(handle.pid, most=1000)
            text, after = first.text, first.after
        if number % 7 == 0:
            more = True
            while more:
                piece = monitor.printed(handle.pid, after=after, most=33)
                text, after, more = text + piece.text, piece.after, piece.more
    assert text == "".join(f"ünï→{number} " * 5 + "\n" for number in range(57))
    last = monitor.printed(handle.pid, most=200)
    assert last.cut
    assert last.text.splitlines()[-1] == "ünï→59 " * 5
    assert re.match(r"ünï→\d", last.text)
    with pytest.raises(InvalidFilter, match="no place"):
        monitor.printed(handle.pid, after="nonsense")


def test_a_class_is_read_where_it_harms_nobody(home: Workspace) -> None:
    folder = home.location.folder
    (folder / "odd.py").write_text(
        "import os, sys\nfrom quince import Process\nprint('hello')\n"
        "class Fine(Process):\n    'Fine.'\n    def run(self):\n        'Runs.'\n"
    )
    (folder / "deadly.py").write_text("import os\nos._exit(3)\n")
    (folder / "wrong.py").write_text("raise ValueError('no good')\n")
    monitor = Monitor(home)
    code = monitor.code("odd.py:Fine")
    assert (code.error, code.doc, [part.help for part in code.outline]) == (None, "Fine.", ["Runs."])
    assert "status 3" in str(monitor.code("deadly.py:X").error)
    assert "no good" in str(monitor.code("wrong.py:X").error)
    assert "nowhere" in str(monitor.code("nowhere:X").error)
    (folder / "odd.py").write_text("class Fine:\n    pass\n")
    assert monitor.code("odd.py:Fine").error
