"""Tables, trees, histories and logs as they are printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console, Group, RenderableType

from quince.cli.daemon_view import worker_table
from quince.cli.history_view import history_lines
from quince.cli.process_table import process_table
from quince.cli.tail import last_lines
from quince.cli.tree import tree_document, tree_lines
from quince.client.tree import Branch, grow
from quince.monitor.fleet import Worker
from quince.monitor.rows import Row
from quince_persistence.records import EventRow, ProcessRow, State
from quince_persistence.records.workers import WorkerRow
from tests.unit.cli.rows import BASE, row

NOW = 1_700_000_060.0


def drawn(content: RenderableType, width: int) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(content)
    return [line.rstrip() for line in captured.get().splitlines()]


def seen(rows: Sequence[ProcessRow]) -> list[Row]:
    return [Row(one, NOW, worker=one.owner) for one in rows]


def test_piped_every_column_is_there_and_no_cell_is_empty() -> None:
    message = "a.b.TooLong: " + "a very long message " * 20
    rows = [
        row(),
        row(pid=123_456_789_012, state=State.EXCEPTED, status=message, exit_message=message, ended=NOW),
    ]
    head, first, second = drawn(process_table(seen(rows), width=None), 100_000)
    assert head.split() == ["PID", "PARENT", "CLASS", "STATE", "STEP", "EXIT", "WORKER", "TOOK", "AGE"]
    assert first.split() == ["7", "-", "Family", "○", "created", "-", "-", "-", "-", "60", "s"]
    assert second.split()[0] == "123456789012"
    assert "!TooLong: a very long message" in second
    assert second.count("message") < 5


def test_a_narrow_terminal_never_cuts_a_pid_or_a_state() -> None:
    rows = [
        row(
            pid=123_456_789_012, parent=4, class_path="m:AVeryLongNameOfAProcessClassIndeed",
            owner="host:1:abc", state=State.WAITING, awaiting=3, step="a_step_with_a_very_long_name_indeed",
        )
    ]  # fmt: skip
    lines = drawn(process_table(seen(rows), width=50), 50)
    assert len(lines) == 2
    assert all(len(line) <= 50 for line in lines)
    assert "123456789012" in lines[1]
    assert "waiting" in lines[1]
    assert "…" in lines[1]


def test_a_terminal_leaves_empty_columns_out_and_knows_workers_by_name() -> None:
    (head, line) = drawn(
        process_table([Row(row(owner="host:1:abc"), NOW, worker="worker-1")], width=120), 120
    )
    assert head.split() == ["PID", "CLASS", "STATE", "WORKER", "AGE"]
    assert "worker-1" in line
    assert "host:1:abc" not in line


def family(root: int, rows: Sequence[ProcessRow], started: Mapping[int, float] | None = None) -> Branch:
    tree = grow(root, rows, started or {}, {})
    assert tree is not None
    return tree


def test_a_tree_hangs_children_under_their_parents_whatever_the_order_of_pids() -> None:
    members = [
        row(pid=30, state=State.WAITING, awaiting=1, step="collect"),
        row(pid=12, parent=11, state=State.EXCEPTED, exit_message="ValueError: x", ended=NOW),
        row(pid=11, parent=30, state=State.FINISHED, exit_status=0, ended=NOW),
        row(pid=31, parent=30, state=State.CREATED),
    ]
    branch = family(30, members)
    lines = drawn(Group(*tree_lines(branch, NOW)), 200)
    assert [line.strip("│├└─ ").split()[0] for line in lines] == ["30", "11", "12", "31"]
    assert "1/2 done" in lines[0]
    assert "60 s" in lines[0]
    assert "ValueError: x" in lines[2]
    document = tree_document(branch)
    assert [child["pid"] for child in document["children"]] == [11, 31]
    assert document["children"][0]["children"][0]["pid"] == 12


def chain_of(levels: int) -> Branch:
    return family(1, [row(pid=1), *(row(pid=pid, parent=pid - 1) for pid in range(2, levels + 1))])


def test_a_tree_of_five_thousand_levels_is_drawn_and_written() -> None:
    branch = chain_of(5000)
    lines = drawn(Group(*tree_lines(branch, NOW)), 200)
    assert len(lines) == 5000
    assert max(map(len, lines)) < 160
    assert lines[21].strip().startswith("(21) 22 Family")
    assert lines[-1].strip().startswith("(4999) 5000 Family")
    met, waiting = [], [json.loads(json.dumps(tree_document(branch)))]
    while waiting:
        document = waiting.pop()
        met.append((document["pid"], document["parent"]))
        waiting += document["children"]
    assert sorted(met) == [(1, None), *((pid, pid - 1) for pid in range(2, 5001))]


def test_a_tree_tells_work_from_queueing() -> None:
    began = BASE.created + 30
    branch = family(1, [row(pid=1, ended=NOW, state=State.FINISHED), row(pid=2, parent=1)], {1: began})
    lines = drawn(Group(*tree_lines(branch, NOW)), 200)
    assert "30 s" in lines[0]
    assert "queued 60 s" in lines[1]
    assert tree_document(branch)["started"] == "2023-11-14T22:13:50.000Z"
    (_, line) = drawn(process_table([Row(branch.row, NOW, began)], width=None), 200)
    assert "30 s" in line


def test_a_history_goes_by_the_time_of_what_happened() -> None:
    events = [
        EventRow(1, 7, 10.0, "state", {"from": "created", "to": "running"}, None),
        EventRow(2, 7, 12.0, "control", {"verb": "pause", "reason": "lunch"}, "ann"),
        EventRow(3, 7, 13.0, "report", {"text": "half way", "at": 11.0}, None),
    ]
    lines = [line.plain.split("  ", 1)[1] for line in history_lines(events)]
    assert lines == ["created → running", "half way", "pause by ann: lunch"]
    assert len(history_lines(events, states=False)) == 2


def test_a_worker_without_a_heartbeat_is_lost() -> None:
    def worker(name: str, beat: float) -> Worker:
        row = WorkerRow(name, "host", 1, name, ("default",), 8, None, "running", NOW - 90, beat, held=3)
        return Worker(row, NOW)

    _, alive, lost = drawn(worker_table([worker("worker-1", NOW - 1), worker("worker-2", NOW - 60)]), 200)
    assert alive.split() == [
        "worker-1",
        "host",
        "1",
        "running",
        "3",
        "8",
        "default",
        "1.0",
        "s",
        "ago",
        "90",
        "s",
    ]
    assert lost.split()[3] == "lost"


def test_the_last_lines_of_a_log_and_what_comes_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "worker-1.log"
    log.write_text("one\ntwo\nthree\nunfin")
    (tail,) = last_lines([log], 2)
    assert capsys.readouterr().out == "two\nthree\n"
    assert tail.fresh() == []
    with log.open("a") as stream:
        stream.write("ished\nfour\n")
    assert tail.fresh() == ["unfinished", "four"]
    log.write_text("anew\n")
    assert tail.fresh() == ["anew"]
    log.unlink()
    assert tail.fresh() == []
