"""How the time of a process was spent, told from its history and its row."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from quince.monitor.history import Bar, Doing
from quince.monitor.rows import Row
from quince.monitor.spent import attempts_of, bars_of, durations_of
from quince.monitor.timelines import timeline_of
from quince_persistence.records import EventRow, ProcessRow, State

ME, OTHER = "h:1:a", "g:2:b"


def process(pid: int = 1, created: float = 0.0, **fields: Any) -> ProcessRow:
    given: dict[str, Any] = {
        "parent": None, "root": 1, "class_path": "m:C", "class_version": "1", "state": State.RUNNING,
        "paused": False, "ready": False, "owner": None, "epoch": 1, "queue": "default", "priority": 0,
        "key": None, "intent": None, "intent_reason": None, "status": None, "step": None, "awaiting": 0,
        "due": None, "deaths": 0, "exit_status": None, "exit_message": None, "created": created,
        "updated": 99.0, "ended": None,
    }  # fmt: skip
    return ProcessRow(pid=pid, **(given | fields))


class History:
    """Lines, one after the other."""

    def __init__(self) -> None:
        self.lines: list[EventRow] = []

    def add(self, at: float, kind: str, author: str | None = None, **body: Any) -> History:
        self.lines.append(EventRow(len(self.lines) + 1, 1, at, kind, body, author))
        return self

    def moves(self, at: float, before: str, after: str, author: str | None = None, **body: Any) -> History:
        return self.add(at, "state", author, **{"from": before, "to": after}, **body)


def told(bars: list[Bar]) -> list[tuple[str, float, float, str | None]]:
    for one, other in itertools.pairwise(bars):
        assert one.end == other.start, "no gaps, and nothing twice"
    return [(bar.doing.value, bar.start, bar.end, bar.step) for bar in bars]


def test_a_chain_with_a_child_tells_each_step_and_what_it_waited_for() -> None:
    """It lingers: its worker goes on without a claim, and the line comes with the next commit."""
    history = (
        History()
        .moves(1.0, "created", "running", ME)
        .moves(3.0, "running", "waiting", ran=[["begin", 1.0, 1.0], ["launch", 2.0, 0.9]])
        .moves(9.0, "waiting", "running", ran=[["collect", 8.0, 0.9]])
        .moves(12.0, "running", "finished", ran=[["sum", 9.0, 1.0], ["end", 10.0, 2.0]])
    )
    bars = bars_of(process(state=State.FINISHED, ended=12.0), history.lines, seen=99.0)
    assert told(bars) == [
        ("queued", 0.0, 1.0, None),
        ("running", 1.0, 2.0, "begin"),
        ("running", 2.0, 3.0, "launch"),
        ("waiting", 3.0, 8.0, None),
        ("running", 8.0, 9.0, "collect"),
        ("running", 9.0, 10.0, "sum"),
        ("running", 10.0, 12.0, "end"),
    ]
    assert {(bar.worker, bar.host) for bar in bars if bar.doing is Doing.RUNNING} == {(ME, "h")}
    assert not any(bar.open or bar.failed for bar in bars)
    durations = durations_of(bars)
    assert (durations.queued, durations.running, durations.waiting, durations.paused) == (1.0, 6.0, 5.0, 0.0)


def test_a_wait_that_follows_another_one_in_memory_is_one_too_when_it_is_over() -> None:
    history = (
        History()
        .moves(1.0, "created", "running", ME)
        .moves(2.0, "running", "waiting", ran=[["a", 1.0, 1.0]])
        .add(5.0, "step", ran=[["b", 4.0, 1.0]])
        .moves(9.0, "waiting", "finished", ran=[["c", 8.0, 1.0]])
    )
    row = process(state=State.FINISHED, ended=9.0)
    expected = [
        ("queued", 0.0, 1.0, None),
        ("running", 1.0, 2.0, "a"),
        ("waiting", 2.0, 4.0, None),
        ("running", 4.0, 5.0, "b"),
        ("waiting", 5.0, 8.0, None),
        ("running", 8.0, 9.0, "c"),
    ]
    assert told(bars_of(row, history.lines, seen=99.0)) == expected
    goes_on = process(state=State.WAITING, owner=ME, awaiting=0, updated=8.0)
    assert told(bars_of(goes_on, history.lines[:3], seen=8.5)) == [*expected[:5], ("running", 8.0, 8.5, None)]


def test_what_was_written_after_the_row_was_read_is_not_told() -> None:
    """A wait begins, or ends, between the two reads."""
    history = (
        History()
        .moves(1.0, "created", "running", ME)
        .moves(3.0, "running", "waiting", ran=[["a", 1.0, 2.0]])
        .moves(7.0, "waiting", "running", OTHER, since=5.0)
        .moves(8.0, "running", "waiting", ran=[["b", 7.0, 1.0]])
    )
    runs = process(state=State.RUNNING, owner=ME, updated=1.0)
    assert told(bars_of(runs, history.lines, seen=2.0)) == [
        ("queued", 0.0, 1.0, None), ("running", 1.0, 2.0, None),
    ]  # fmt: skip
    waits = process(state=State.WAITING, awaiting=1, updated=3.0)
    assert told(bars_of(waits, history.lines, seen=4.0))[-1] == ("waiting", 3.0, 4.0, None)
    queued = process(state=State.WAITING, ready=True, updated=5.0)
    assert told(bars_of(queued, history.lines, seen=6.0))[-1] == ("queued", 5.0, 6.0, None)


def test_a_history_that_lacks_its_last_line_is_made_up_from_the_row() -> None:
    history = History().moves(1.0, "created", "running", ME)
    waits = process(state=State.WAITING, owner=ME, awaiting=2, updated=3.0)
    assert told(bars_of(waits, history.lines, seen=4.0))[-1] == ("waiting", 3.0, 4.0, None)


def test_a_wait_that_was_evicted_is_queued_from_when_it_was_ready() -> None:
    history = (
        History()
        .moves(1.0, "created", "running", ME)
        .moves(2.0, "running", "waiting", ran=[["a", 1.0, 1.0]])
        .moves(7.0, "waiting", "running", OTHER, since=5.0)
    )
    row = process(state=State.RUNNING, owner=OTHER, step="b", updated=7.0)
    assert told(bars_of(row, history.lines, seen=8.0)) == [
        ("queued", 0.0, 1.0, None),
        ("running", 1.0, 2.0, "a"),
        ("waiting", 2.0, 5.0, None),
        ("queued", 5.0, 7.0, None),
        ("running", 7.0, 8.0, "b"),
    ]
    last = bars_of(row, history.lines, seen=8.0)[-1]
    assert (last.open, last.worker) == (True, OTHER)


def test_failed_attempts_and_deaths_are_counted_and_told_of_their_steps() -> None:
    history = (
        History()
        .moves(0.0, "created", "running", ME)
        .add(2.0, "attempt", "quince", text="step a failed: no", traceback="File x")
        .moves(2.0, "running", "waiting", ran=[["a", 0.0, 2.0]])
        .moves(4.0, "waiting", "running", ran=[["a", 3.0, 1.0]])
        .add(
            5.0,
            "death",
            "quince",
            text="its step host was killed, in step b",
            worker=ME,
            stderr="bang",
            step="b",
        )
        .add(6.0, "death", "quince", text=f"worker {ME} died while it held this process", worker=ME, step="b")
        .add(7.0, "claim", OTHER, step="b")
        .moves(9.0, "running", "finished", ran=[["b", 7.0, 2.0]])
    )
    bars = bars_of(process(state=State.FINISHED, ended=9.0), history.lines, seen=9.0)
    assert told(bars) == [
        ("running", 0.0, 2.0, "a"),
        ("waiting", 2.0, 3.0, "a"),
        ("running", 3.0, 4.0, "a"),
        ("running", 4.0, 5.0, "b"),
        ("running", 5.0, 6.0, "b"),
        ("queued", 6.0, 7.0, "b"),
        ("running", 7.0, 9.0, "b"),
    ]
    assert [(bar.attempt, bar.failed) for bar in bars if bar.doing is Doing.RUNNING] == [
        (1, True), (2, False), (1, True), (2, True), (3, False),
    ]  # fmt: skip
    attempts = attempts_of(history.lines)
    assert [(one.number, one.traceback) for one in attempts] == [(1, "File x"), (2, "bang"), (3, "")]


def test_a_pause_and_a_retry() -> None:
    history = (
        History()
        .add(1.0, "control", "ada", verb="pause", reason=None)
        .add(3.0, "control", "ada", verb="play", reason=None)
        .moves(4.0, "created", "running", ME)
        .moves(5.0, "running", "excepted", ran=[["a", 4.0, 1.0]])
        .add(8.0, "retry", "ada", state="excepted", step="a")
    )
    row = process(state=State.RUNNING, ready=True, step="a", updated=8.0)
    bars = bars_of(row, history.lines, seen=9.0)
    assert [(bar.doing.value, bar.start, bar.end, bar.failed) for bar in bars] == [
        ("queued", 0.0, 1.0, False),
        ("paused", 1.0, 3.0, False),
        ("queued", 3.0, 4.0, False),
        ("running", 4.0, 5.0, True),
        ("queued", 8.0, 9.0, False),
    ]


def test_what_no_line_tells_the_row_does() -> None:
    taken = History().moves(1.0, "created", "running", ME).lines
    assert told(bars_of(process(state=State.CREATED, ready=True), [], seen=2.0)) == [
        ("queued", 0.0, 2.0, None)
    ]
    assert told(bars_of(process(paused=True), taken, seen=2.0))[-1] == ("paused", 1.0, 2.0, None)
    lost = bars_of(process(ready=True, updated=1.5), taken, seen=2.0)
    assert told(lost)[-1][:3] == ("queued", 1.5, 2.0)
    killed = History().moves(2.0, "created", "killed", "ada").lines
    assert told(bars_of(process(state=State.KILLED, ended=2.0), killed, seen=9.0)) == [
        ("queued", 0.0, 2.0, None)
    ]


def test_garbage_in_a_history_stops_nobody() -> None:
    history = (
        History()
        .add(1.0, "state")
        .add(1.0, "step", ran=[["a", 99.0, 1.0], ["b", -5.0, 1.0]])
        .add(0.5, "claim", "nobody", step=7)
        .add(1.0, "nonsense", ran=3)
        .moves(0.1, "waiting", "running", ME, since="x")
    )
    bars = bars_of(process(), history.lines, seen=2.0)
    assert all(bar.end >= bar.start for bar in bars)


def test_the_critical_path_goes_from_the_end_to_the_start_by_what_was_waited_for() -> None:
    def chain(pid: int, created: float, ended: float) -> tuple[ProcessRow, list[EventRow]]:
        row = process(pid, created, parent=1, state=State.FINISHED, ended=ended)
        lines = History().moves(created, "created", "running", ME)
        return row, lines.moves(ended, "running", "finished", ran=[["run", created, ended - created]]).lines

    top = process(state=State.FINISHED, ended=10.0)
    lines = (
        History()
        .moves(0.0, "created", "running", ME)
        .moves(2.0, "running", "waiting", ran=[["launch", 0.0, 2.0]])
        .moves(10.0, "waiting", "finished", ran=[["collect", 9.0, 1.0]])
        .lines
    )
    quick, slow = chain(2, 2.0, 4.0), chain(3, 2.0, 9.0)
    histories: Mapping[int, list[EventRow]] = {1: lines, 2: quick[1], 3: slow[1]}
    rows = [Row(one, 11.0) for one in (top, quick[0], slow[0])]
    timeline = timeline_of(rows, histories, hidden=0)
    assert timeline.critical == [1, 3]
    path = sorted((bar.start, bar.end, bar.pid) for bar in timeline.bars if bar.critical)
    assert path == [(0.0, 2.0, 1), (2.0, 9.0, 3), (9.0, 10.0, 1)]
    assert (timeline.start, timeline.end) == (0.0, 10.0)
