"""How the time of a process was spent, told from its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from quince.monitor.history import Attempt, Bar, Doing, Durations
from quince_persistence.records import Control, EventRow, ProcessRow, State

KINDS = ("state", "step", "claim", "death", "attempt", "control", "retry")
"""The kinds of lines that tell it."""
_ENDS = (State.FINISHED, State.EXCEPTED, State.KILLED)


def bars_of(row: ProcessRow, events: Sequence[EventRow], seen: float) -> list[Bar]:
    """The stretches of time of a process, in their order, without gaps from its making to its end (but for
    the time between an end and a retry).

    Args:
        events: Its history, oldest first; lines of other kinds than `KINDS` tell nothing, nor do those that
            came after the row was read.
        seen: When the row was read: the end of what goes on.
    """
    walk = _Walk(row)
    for event in _until(row, events):
        walk.met(event)
    return walk.over(seen)


def _until(row: ProcessRow, events: Sequence[EventRow]) -> Sequence[EventRow]:
    """A line and what it changes of the row are written together, at one time."""
    newer = 0
    while newer < len(events) and events[-1 - newer].at > row.updated:
        newer += 1
    return events[: len(events) - newer]


def durations_of(bars: Iterable[Bar]) -> Durations:
    """Their sums."""
    sums = dict.fromkeys(Doing, 0.0)
    for bar in bars:
        sums[bar.doing] += bar.seconds
    return Durations(sums[Doing.QUEUED], sums[Doing.RUNNING], sums[Doing.WAITING], sums[Doing.PAUSED])


def attempts_of(events: Sequence[EventRow]) -> list[Attempt]:
    """The attempts of steps that have failed, and the deaths of who ran them, numbered from the first on."""
    failed = [event for event in events if event.kind in ("attempt", "death")]
    return [
        Attempt(
            event.at,
            event.body.get("step"),
            number,
            str(event.body.get("text", "")),
            str(event.body.get("traceback") or event.body.get("stderr") or ""),
        )
        for number, event in enumerate(failed, 1)
    ]


def host_of(worker: str | None) -> str | None:
    """The host of a worker, which its id begins with."""
    if worker is None or worker.count(":") < 2:
        return None
    return worker.rsplit(":", 2)[0]


class _Walk:
    """Goes through a history and cuts the time into bars."""

    def __init__(self, row: ProcessRow) -> None:
        self._row = row
        self._bars: list[Bar] = []
        self._since = row.created
        self._doing: Doing | None = Doing.QUEUED
        self._state_was: object = None
        self._worker: str | None = None
        self._step: str | None = None
        self._attempt = 1
        self._broken: EventRow | None = None
        self._known: Mapping[str, Callable[[EventRow], None]] = {
            "state": self._state,
            "step": self._stepped,
            "claim": self._claim,
            "death": self._death,
            "attempt": self._failed,
            "control": self._control,
            "retry": self._retry,
        }

    def met(self, event: EventRow) -> None:
        """The next line."""
        if self._broken is not None and "ran" not in event.body:
            self._break(self._broken.at)
        if (known := self._known.get(event.kind)) is not None:
            known(event)

    def over(self, seen: float) -> list[Bar]:
        """All of them; what goes on ends when it was seen."""
        row = self._row
        if self._broken is not None:
            self._break(self._broken.at)
        if self._doing is not None:
            self._as_it_stands(seen)
            self._step = row.step or self._step
            self._attempt = 1 + row.attempt + row.deaths
            self._cut(seen if row.ended is None else row.ended, None)
            if self._bars and row.ended is None:
                self._bars[-1] = replace(self._bars[-1], open=True)
        return self._bars

    def _as_it_stands(self, seen: float) -> None:
        """What the row tells that no line does."""
        row = self._row
        if row.terminated:
            return
        if row.paused:
            self._doing = Doing.PAUSED
        elif row.state is State.WAITING and row.awaiting > 0 and self._doing is not Doing.WAITING:
            self._cut(min(row.updated, seen), Doing.WAITING)
        elif row.owner is not None and row.awaiting == 0 and self._doing is not Doing.RUNNING:
            self._cut(min(row.updated, seen), Doing.RUNNING)
            self._worker = row.owner
        elif row.owner is None and row.ready and self._doing is not Doing.QUEUED:
            self._cut(min(max(row.updated, self._since), seen), Doing.QUEUED)

    def _cut(self, at: float, then: Doing | None, *, failed: bool = False) -> None:
        """What went on ends, and another thing begins."""
        at = max(at, self._since)
        if self._doing is not None and at > self._since:
            runs = self._doing is Doing.RUNNING
            self._bars.append(
                Bar(
                    self._row.pid,
                    self._doing,
                    self._since,
                    at,
                    step=self._step,
                    attempt=self._attempt if runs else 1,
                    worker=self._worker if runs else None,
                    host=host_of(self._worker) if runs else None,
                    failed=failed and runs,
                )
            )
        self._since, self._doing = at, then

    def _ran(self, body: Mapping[str, Any], end: float, *, failed: bool = False) -> None:
        """The steps that have run up to a line: each lasts until the next one begins."""
        steps = [(str(name), float(began)) for name, began, _ in body.get("ran") or ()]
        for index, (name, began) in enumerate(steps):
            if self._doing is not Doing.RUNNING:
                self._cut(min(began, end), Doing.RUNNING)
            self._step = name
            if index < len(steps) - 1:
                self._cut(min(steps[index + 1][1], end), Doing.RUNNING)
                self._attempt = 1
            elif self._broken is not None:
                self._break(end)
            else:
                self._cut(end, Doing.RUNNING, failed=failed)
                self._attempt, self._step = 1, None

    def _state(self, event: EventRow) -> None:
        before, after = event.body.get("from"), event.body.get("to")
        self._state_was = after
        broke = after == State.EXCEPTED and before != State.CREATED
        broken = self._broken is not None
        self._ran(event.body, event.at, failed=broke)
        if broken and after == State.WAITING:
            return
        if after == State.RUNNING:
            if event.author is not None:
                self._taken(event)
            elif "ran" not in event.body:
                self._cut(event.at, Doing.RUNNING)
        elif after == State.WAITING:
            self._cut(event.at, Doing.WAITING)
            self._step = None
        elif after in _ENDS:
            self._cut(event.at, None, failed=broke)

    def _stepped(self, event: EventRow) -> None:
        broken = self._broken is not None
        self._ran(event.body, event.at)
        if broken:
            return
        if self._state_was == State.WAITING:  # and is again: it has gone on in memory, and waits anew
            self._cut(event.at, Doing.WAITING)
            self._step = None

    def _claim(self, event: EventRow) -> None:
        if event.body.get("step"):
            self._step = str(event.body["step"])
        if self._doing is Doing.RUNNING:  # it was released in between: when, nobody has written down
            self._cut(event.at, Doing.QUEUED)
        self._taken(event)

    def _taken(self, event: EventRow) -> None:
        """A worker takes it up."""
        since = event.body.get("since")
        if isinstance(since, (int, float)) and self._doing in (Doing.WAITING, Doing.PAUSED):
            self._cut(min(float(since), event.at), Doing.QUEUED)
        self._cut(event.at, Doing.RUNNING)
        self._worker = event.author

    def _death(self, event: EventRow) -> None:
        """Of a worker, which leaves it queued; or of a step host, whose worker goes on."""
        self._step = event.body.get("step") or self._step
        goes_on = str(event.body.get("text", "")).startswith("its step host")
        self._cut(event.at, Doing.RUNNING if goes_on else Doing.QUEUED, failed=True)
        self._attempt += 1

    def _failed(self, event: EventRow) -> None:
        """A step has failed: the line after this one says which, if it was told."""
        self._broken = event

    def _break(self, at: float) -> None:
        held = self._broken is not None and "held" in self._broken.body
        self._broken = None
        self._cut(at, Doing.PAUSED if held else Doing.WAITING, failed=True)
        self._attempt += 1

    def _control(self, event: EventRow) -> None:
        verb = event.body.get("verb")
        if verb == Control.PAUSE and self._doing in (Doing.QUEUED, Doing.WAITING):
            self._cut(event.at, Doing.PAUSED)
        elif verb == Control.PLAY and self._doing is Doing.PAUSED:
            self._cut(event.at, Doing.QUEUED)

    def _retry(self, event: EventRow) -> None:
        self._since, self._doing, self._attempt, self._step = event.at, Doing.QUEUED, 1, None
        self._state_was = None
