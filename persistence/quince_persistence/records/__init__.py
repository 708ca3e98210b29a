"""Processes, as they go into and come out of the store: frozen, plain, without behaviour.

The modules of this folder have the records of steps, controls, limits, workers, schedules, notices and of
pruning. Those of which there are many, or that travel between workers and step hosts, are msgspec Structs:
made ten times faster.
Times are seconds since the epoch (UTC) as float. Blobs are bytes made by `quince_persistence.codec`.
A *worker id* names one incarnation of a worker (`host:ospid:random`); it is never reused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


class State(enum.StrEnum):
    """Where a process is in its life; `paused` is a flag beside it."""

    CREATED = "created"
    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    EXCEPTED = "excepted"
    KILLED = "killed"


TERMINAL = frozenset({State.FINISHED, State.EXCEPTED, State.KILLED})


OWN_QUEUE = "run:"
"""Before the id of a worker: the queue of what it alone runs, beside those of its row."""


MAX_DEATHS = 5
"""So many step hosts in a row that its own code has ended (`ProcessRow.deaths_alone`) end a process."""


class ProcessOptions(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What was said of a process when it was made, and never changes.

    Attributes:
        labels: By which it is found; its own and those of its parent.
        limits: Names of limits that it holds while it is at work, in alphabetical order.
        below: Names of limits that a process above it asks for, which it need not have itself.
        on_failure: `pause`: when it would end excepted, it is paused instead. None: as its class says.
        cache_key: Names what it computes: the revision of its code, a colon, a digest of all else. None: it
            is neither looked for in the cache nor kept there.
        cached_from: The process whose outputs it has, instead of having run.
        restart_of: The process that it repeats, from one of its steps on.
        trace: The span under which it was submitted, as a W3C `traceparent`.
    """

    labels: dict[str, str] = {}
    limits: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    on_failure: str | None = None
    cache_key: str | None = None
    cached_from: int | None = None
    restart_of: int | None = None
    trace: str | None = None


NO_OPTIONS = ProcessOptions()


class Control(enum.StrEnum):
    """What can be asked of a process from outside."""

    PAUSE = "pause"
    PLAY = "play"
    KILL = "kill"


class NewProcess(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process about to be inserted. Its pid comes from `Store.allocate_pids`.

    Attributes:
        class_path: `module:QualName`.
        key: At most one process of a store has a given key; None for no key.
        inputs: Blob, stored once and never changed.
        paused: Born paused (a child of a paused tree).
        within: Seconds that it has to end, with its tree; None: any.
        until: The moment by which it has to; None: any.
        step: Name of its first step.
        refers: Processes that its inputs name: they are not pruned as long as it lives.
        inherits: What of `queue` and `priority` it has from its parent, as that is when it is inserted.
    """

    pid: int
    class_path: str
    inputs: bytes
    parent: int | None = None
    root: int | None = None
    class_version: str = ""
    queue: str = "default"
    priority: int = 0
    key: str | None = None
    paused: bool = False
    within: float | None = None
    until: float | None = None
    step: str | None = None
    options: ProcessOptions = NO_OPTIONS
    refers: Sequence[int] = ()
    inherits: Sequence[str] = ()


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a step is, as it has said last.

    Attributes:
        total: Of all that is to be done; None: that is not known.
    """

    done: float
    total: float | None = None
    text: str | None = None


class ProcessRow(msgspec.Struct, frozen=True, gc=False):
    """The narrow row of a process, for lists, claims and control.

    Attributes:
        ready: It could run now if a worker claimed it: created, running, or waiting with nothing left to wait
            for; never when paused or terminated. (Whether a worker holds it is `owner`.)
        awaiting: How many awaited children have not terminated and signals have not come, plus one for
            a timer not yet due.
        step: Name of the step that runs next (or runs now, if owned), or in which it did not end well.
        intent: A control that its owner has not applied yet.
        intent_now: It is a pause that is to be applied in the midst of the step.
        deaths: How many workers and step hosts died while it was at work in them, since its last commit.
        deaths_alone: How many of them were step hosts in which just its own code was running: that is proof
            against it.
        due: When its timer fires (or the deadline of the signals that it waits for is over), or None.
        signals: Names of the signals that it waits for and that have not come.
        attempt: How often the step that runs next has been tried, and has failed.
        deadline: When it is ended, with its tree, if it lives then; or None.
        wait_any: One of those that it waits for is enough.
        granted: Whether it holds all limits that it asks for; None: it asks for none.
        wait_due: `due` ends the wait for whatever has not come.
        progress: What its step has said last of how far it is, or None.
    """

    pid: int
    parent: int | None
    root: int
    class_path: str
    class_version: str
    state: State
    paused: bool
    ready: bool
    owner: str | None
    epoch: int
    queue: str
    priority: int
    key: str | None
    intent: Control | None
    intent_reason: str | None
    status: str | None
    step: str | None
    awaiting: int
    due: float | None
    deaths: int
    exit_status: int | None
    exit_message: str | None
    created: float
    updated: float
    ended: float | None
    signals: tuple[str, ...] = ()
    deaths_alone: int = 0
    intent_now: bool = False
    attempt: int = 0
    deadline: float | None = None
    wait_any: bool = False
    granted: bool | None = None
    progress: Progress | None = None
    options: ProcessOptions = NO_OPTIONS
    wait_due: bool = False

    @property
    def waits_for_limits(self) -> bool:
        """It waits for limits that it asks for."""
        tried_later = self.attempt and self.state is State.WAITING and self.awaiting
        return self.granted is False and not (self.paused or self.terminated or tried_later)

    @property
    def terminated(self) -> bool:
        """It has ended, in whatever way: finished, excepted or killed."""
        return self.state in TERMINAL


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process that this worker now owns, with all that is needed to run it.

    Attributes:
        checkpoint: Blob, or None if it has never run.
        replaced: Which pids in the checkpoint stand for which others.
    """

    row: ProcessRow
    inputs: bytes
    checkpoint: bytes | None
    replaced: Mapping[int, int] = msgspec.field(default_factory=dict)


class NewEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a process's history, written with the step that made it.

    Attributes:
        kind: `state`, `step`, `claim`, `control`, `signal`, `report`, `death`, `declined` or `revision`.
        body: Small mapping of plain values (stored as JSON).
    """

    kind: str
    body: Mapping[str, Any]
    author: str | None = None


class NewSignal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value for a process, kept until one of its steps has used it.

    Attributes:
        value: Blob.
    """

    pid: int
    name: str
    value: bytes


class SignalRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signal that a process has not used yet. `seq` grows in the order in which they came."""

    seq: int
    pid: int
    name: str
    value: bytes
    author: str | None
    at: float


class EventRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a process's history. `seq` grows in commit order within a process."""

    seq: int
    pid: int
    at: float
    kind: str
    body: Mapping[str, Any]
    author: str | None


class Woken(msgspec.Struct, frozen=True, gc=False):
    """A process that became ready through the commit of another one.

    `owner` is the worker in whose memory it lingers, or None: then its task belongs on the queue.
    """

    pid: int
    owner: str | None
    queue: str
    priority: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which processes: every given field must match; empty fields do not filter.

    Attributes:
        pids: These and no others.
        trees: These processes and all their descendants.
        classes: Class paths, or the bare class names after the colon or the last dot.
        labels: Names of labels with their values; None: any value.
        exits: Exit statuses.
        failed: Only those that have ended, and not well: excepted, killed, or an exit status other than 0.
        text: It stands in the class, key, step, status or exit message, in whatever case.
        since: Created at or after this time.
        until: Created at or before this time.
        ended_since: Ended at or after this time.
        ended_until: Ended at or before this time.
        live: Only those that have not terminated.
        roots: Only those without a parent.
        before: For paging: pid below this.
        above: pid above this.
        limit: At most so many, newest first.
    """

    pids: Sequence[int] = ()
    trees: Sequence[int] = ()
    states: Sequence[State] = ()
    classes: Sequence[str] = ()
    parent: int | None = None
    queue: str | None = None
    key: str | None = None
    paused: bool | None = None
    labels: Sequence[tuple[str, str | None]] = ()
    exits: Sequence[int] = ()
    failed: bool = False
    text: str | None = None
    since: float | None = None
    until: float | None = None
    ended_since: float | None = None
    ended_until: float | None = None
    live: bool = False
    roots: bool = False
    before: int | None = None
    above: int | None = None
    limit: int | None = None


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a process ended (or stands).

    Attributes:
        outputs: Blob, or None.
        error: Blob, or None.
        unread: Bytes of outputs that there are, and were not read.
    """

    row: ProcessRow
    outputs: bytes | None
    error: bytes | None
    unread: int = 0


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many processes are alike.

    Attributes:
        failed: They have ended, and not well.
    """

    state: State
    paused: bool
    failed: bool
    count: int
