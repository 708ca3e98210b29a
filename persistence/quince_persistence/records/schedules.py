"""Schedules as they stand in the store: what is made when, what became of it so far.

Texts of moments are ISO 8601 with the offset of the schedule's zone, `2026-11-30T02:00:00+01:00`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from quince_persistence.records import NO_OPTIONS, ProcessOptions, Woken
from quince_persistence.records.controls import ControlOutcome

LINES_KEPT = 50
"""Lines of its history that a schedule keeps."""
MOST_QUEUED = 10_000
"""So many processes may wait for their turn in one schedule; what would come after them is skipped."""


class Overlap(StrEnum):
    """What becomes of a firing while a process of the schedule lives."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """Which firings are made up for that nobody was there for."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a schedule makes, and when.

    Attributes:
        cron: Expression of five or six fields; None: it goes by `every`.
        zone: Name of the time zone in which `cron` is read, and moments are written.
        every: Seconds from one firing to the next.
        start: Nothing fires before it; `every` counts from it.
        within: With `CatchUp.ALL`: no firing is made up for that is older than so many seconds.
        jitter: Each firing is late by a part of so many seconds, its own one.
        deadline: Seconds that each process has to end.
        until: The moment by which each has to.
        refers: Processes that its inputs name.
        asked_for: What its processes are asked for, if one that ended well may have served: with the revision
            of the code, the key of the cache.
        cuts: Where the large parts of its inputs begin and end.
    """

    class_path: str
    class_version: str = ""
    cron: str | None = None
    zone: str = "UTC"
    every: float | None = None
    start: float | None = None
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LAST
    within: float | None = None
    jitter: float = 0.0
    queue: str = "default"
    priority: int = 0
    deadline: float | None = None
    until: float | None = None
    refers: tuple[int, ...] = ()
    options: ProcessOptions = NO_OPTIONS
    asked_for: str | None = None
    cuts: tuple[tuple[int, int], ...] = ()


class ScheduleLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the history of a schedule.

    Attributes:
        what: `fired`, `queued`, `skipped`, `missed`, `triggered`, `back-filled`, `paused`, `played` or such.
        moment: Of the firing, as text.
        text: What else is to be said.
    """

    at: float
    what: str
    moment: str | None = None
    pid: int | None = None
    text: str | None = None
    author: str | None = None


class ScheduleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a schedule so far.

    Attributes:
        moment: The next firing; `ScheduleRow.next_at` is that and its jitter.
        live: Processes that it has made, of which it does not know yet that they have ended.
        queued: Moments of firings whose turn comes when these have ended.
        lines: Its history, the oldest first.
    """

    moment: float | None = None
    live: tuple[int, ...] = ()
    queued: tuple[str, ...] = ()
    lines: tuple[ScheduleLine, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as it stands.

    Attributes:
        next_at: When it fires next; None: never, or it is paused.
        last_at: The last firing that was dealt with, whether it made a process or not.
        planned: What the clock said when that was found out.
        last_pid: The process that it has made last.
    """

    name: str
    schedule: Schedule
    paused: bool
    next_at: float | None
    last_at: float | None
    planned: float
    last_pid: int | None
    created: float
    state: ScheduleState


@dataclass(frozen=True, slots=True)
class DamagedSchedule:
    """A schedule whose row cannot be read: it fires no more.

    Attributes:
        reason: Why not.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """A firing that is due.

    Attributes:
        at: Its moment.
        text: The moment as text; with the name of the schedule it is the key of the process.
        late: Nobody was there when it was its time: its turn comes after those before it, unless they may
            overlap.
    """

    at: float
    text: str
    late: bool = False


@dataclass(frozen=True, slots=True)
class Firing:
    """What a worker, or somebody by hand, wants a schedule to make now.

    Attributes:
        seen: The schedule as it was when that was found out; if it is another one by now, nothing is done.
            None: whatever it is.
        pids: One more than there are firings due.
        moment, next_at: Of the firing after them, with and without its jitter (not of one by hand).
        last_at: The last firing that is dealt with by this.
        planned: What the clock said when this was found out; None: what it says now.
        missed: What is to be said of firings that nobody was there for and that are not made up for.
        what: For its history.
        overlap: Instead of what the schedule says.
        revision: That of the code that will run; None if it is not known.
    """

    name: str
    due: Sequence[Due]
    pids: Sequence[int]
    seen: ScheduleRow | None = None
    moment: float | None = None
    next_at: float | None = None
    last_at: float | None = None
    planned: float | None = None
    missed: ScheduleLine | None = None
    what: str = "fired"
    overlap: Overlap | None = None
    author: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    """What a firing has made.

    Attributes:
        made: The processes that were made; those that are ready are to be put on their queues.
        replaced: What a kill of those before did; their owners are to be told.
        queued: How many firings wait for their turn because of this.
        known: Processes that had been made for these moments before.
        granted: Those that have become ready, of these or others, since they were given limits.
    """

    made: Sequence[Woken] = ()
    replaced: Sequence[ControlOutcome] = ()
    queued: int = 0
    known: Sequence[int] = ()
    granted: Sequence[Woken] = ()


def key_of(name: str, moment: str) -> str:
    """The key of the process of one firing."""
    return f"schedule {name} {moment}"


LABEL, MOMENT_LABEL = "schedule", "scheduled"
"""The labels of its processes: its name, and the moment of the firing."""
