"""What has happened to a process: its history, and how its time was spent, told from that."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quince.monitor.history_words import words_of
from quince_persistence.records import EventRow


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a history.

    Attributes:
        seq: Grows from line to line; `after=` takes it.
        at: When it happened.
        kind: `state`, `claim`, `control`, `signal`, `report`, `death`, `attempt`, `retry`, `restart`, ...
        text: It in words, for people; may have several lines.
        author: Who did it: a person, or the id of a worker; None: nobody is known.
        body: All that was written down.
    """

    seq: int
    at: float
    kind: str
    text: str
    author: str | None
    body: Mapping[str, Any]


class Doing(enum.StrEnum):
    """What a stretch of time was spent with."""

    QUEUED = "queued"
    """It could run, and no worker had taken it up: no slot was free, or a limit had no room."""
    RUNNING = "running"
    WAITING = "waiting"
    """For children, signals, a timer, or until it is tried again."""
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time of one process.

    Attributes:
        start, end: In seconds since the epoch; `end` of what goes on is when it was read.
        step: The step that ran, or waits to run; None: that is not known.
        attempt: Which attempt of that step, from 1 on.
        worker: The id of the worker that ran it, and the name of its host; None unless it ran.
        open: It goes on.
        failed: The attempt has failed, or died.
        critical: It is on the critical path of the tree.
    """

    pid: int
    doing: Doing
    start: float
    end: float
    step: str | None = None
    attempt: int = 1
    worker: str | None = None
    host: str | None = None
    open: bool = False
    failed: bool = False
    critical: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Durations:
    """For how many seconds a process has been what."""

    queued: float = 0.0
    running: float = 0.0
    waiting: float = 0.0
    paused: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A time that a step was tried and has failed.

    Attributes:
        number: Of the attempt, from 1 on.
        text: What went wrong, in a line.
        traceback: Empty if there is none (its host died, its time was over).
    """

    at: float
    step: str | None
    number: int
    text: str
    traceback: str = ""


def moment(event: EventRow) -> float:
    """When it happened: a report is written down with its step, later than it was made."""
    at = event.body.get("at") if event.kind == "report" else None
    return float(at) if isinstance(at, (int, float)) else event.at


def retries_of(events: Sequence[EventRow]) -> int:
    """How often it was retried."""
    return sum(event.kind == "retry" for event in events)


def last_revision(events: Sequence[EventRow]) -> str | None:
    """The revision of the code that ran last; None if that is not known (it has not run, ...)."""
    for event in reversed(events):
        key = {"state": "revision", "revision": "to"}.get(event.kind)
        if key is not None and event.body.get(key):
            return str(event.body[key])
    return None


def line_of(event: EventRow) -> Line:
    """An event as it is shown."""
    return Line(event.seq, moment(event), event.kind, words_of(event), event.author, event.body)
