"""The rows that go into and come out of the store: frozen, plain, without behaviour.

Those of which a call returns a hundred thousand are msgspec Structs: made ten times faster.
Times are seconds since the epoch (UTC) as float. Blobs are bytes made by `quince_persistence.codec`.
A *worker id* names one incarnation of a worker (`host:ospid:random`); it is never reused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


SUSPECT = 2
"""Deaths of workers from which on a process is suspected of having caused them."""

PRIME_SUSPECT = 3
"""From so many on it is tried in a worker in which nothing else is at work."""

MAX_DEATHS = 5
"""So many, of workers in which nothing else was at work, end a process: that is proof."""


class Control(enum.StrEnum):
    """What can be asked of a process from outside."""

    PAUSE = "pause"
    PLAY = "play"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class NewProcess:
    """A process about to be inserted. Its pid comes from `Store.allocate_pids`.

    Attributes:
        class_path: `module:QualName`.
        key: At most one process of a store has a given key; None for no key.
        inputs: Blob, stored once and never changed.
        paused: Born paused (a child of a paused tree).
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


class ProcessRow(msgspec.Struct, frozen=True, gc=False):
    """The narrow row of a process, for lists, claims and control.

    Attributes:
        ready: It could run now if a worker claimed it: created, running, or waiting with nothing left to wait
            for; never when paused or terminated. (Whether a worker holds it is `owner`.)
        awaiting: How many awaited children have not terminated and signals have not come, plus one for
            a timer not yet due.
        step: Name of the step that runs next (or runs now, if owned).
        intent: A control that its owner has not applied yet.
        deaths: How many workers died while it was at work in them, since its last commit.
        deaths_alone: In how many of them nothing else was at work.
        due: When its timer fires (or the deadline of the signals that it waits for is over), or None.
        signals: Names of the signals that it waits for and that have not come.
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

    @property
    def terminated(self) -> bool:
        """It has ended, in whatever way: finished, excepted or killed."""
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True)
class Claim:
    """A process that this worker now owns, with all that is needed to run it.

    Attributes:
        checkpoint: Blob, or None if it has never run.
    """

    row: ProcessRow
    inputs: bytes
    checkpoint: bytes | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One line of a process's history, written with the step that made it.

    Attributes:
        kind: `state`, `control`, `signal` or `report`.
        body: Small mapping of plain values (stored as JSON).
    """

    kind: str
    body: Mapping[str, Any]
    author: str | None = None


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A value for a process, kept until one of its steps has used it.

    Attributes:
        value: Blob.
    """

    pid: int
    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal that a process has not used yet. `seq` grows in the order in which they came."""

    seq: int
    pid: int
    name: str
    value: bytes
    author: str | None
    at: float


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of a process's history. `seq` grows in commit order within a process."""

    seq: int
    pid: int
    at: float
    kind: str
    body: Mapping[str, Any]
    author: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """Everything that one step changed: committed together or not at all.

    Attributes:
        owner, epoch: The claim under which it was made; a write with any other is refused (fenced).
        state: The state that the process enters.
        step: Name of the step that runs next; None when terminated.
        checkpoint: Blob to restore from; None leaves the stored one as it is. A terminal state
            drops the stored one.
        outputs: Blob of all outputs; written when given (terminal states).
        error: Blob describing the exception (excepted).
        exit_status, exit_message: How it ended (terminal states).
        children: Processes to insert, in the order of their pids.
        awaits: pids whose termination this process now waits for (state `waiting`). They may be
            children of this very step, older processes, or terminated ones.
        due: Time at which a timer wakes it (state `waiting`), or None.
        signals: Names of the signals that it waits for (state `waiting`); one for each.
        deadline: `due` ends the wait for signals that have not come, and is nothing to wait for itself.
        used: Signals that this step has used up; they are dropped.
        sends: Signals to other processes; those to processes that have terminated are dropped.
        release: Give the claim up with this commit.
        paused: Enter the paused flag with this commit (implies release; clears a pause intent).
        reason: With `paused` or `killed`: why, for the history and the row's status.
    """

    pid: int
    owner: str
    epoch: int
    state: State
    step: str | None = None
    status: str | None = None
    checkpoint: bytes | None = None
    outputs: bytes | None = None
    error: bytes | None = None
    exit_status: int | None = None
    exit_message: str | None = None
    children: Sequence[NewProcess] = ()
    awaits: Sequence[int] = ()
    due: float | None = None
    signals: Sequence[str] = ()
    deadline: bool = False
    used: Sequence[SignalRow] = ()
    sends: Sequence[NewSignal] = ()
    events: Sequence[NewEvent] = ()
    release: bool = False
    paused: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a once-block, and under which claim its process is now.

    Attributes:
        result: Blob, or None if nothing is recorded.
    """

    owner: str | None
    epoch: int
    result: bytes | None


class Woken(msgspec.Struct, frozen=True, gc=False):
    """A process that became ready through the commit of another one.

    `owner` is the worker in whose memory it lingers, or None: then its task belongs on the queue.
    """

    pid: int
    owner: str | None
    queue: str
    priority: int


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a committed step met.

    Attributes:
        fenced: The claim was lost; nothing was written. All else is then empty.
        awaiting: What is still outstanding after the commit (0: go on at once).
        intent: A control that waits to be applied by the owner, or None.
        woken: Processes that waited for this one and are now ready.
        signalled: Those that became ready through the signals that it sent.
        kept: (of `release`) Not released: it was waiting and nothing is left to wait for, and no
            intent is on it; the owner goes on.
        state, paused, ready: What the row says after it.
        cascade: What a kill that came into force with this commit did, as `control` would tell it:
            the live descendants of the process and, if an intent was applied, the process itself.
            Those not `applied` have an owner to be told.
    """

    fenced: bool = False
    awaiting: int = 0
    intent: Control | None = None
    intent_reason: str | None = None
    woken: Sequence[Woken] = ()
    signalled: Sequence[Woken] = ()
    kept: bool = False
    state: State | None = None
    paused: bool = False
    ready: bool = False
    cascade: Sequence[ControlOutcome] = ()


class ControlOutcome(msgspec.Struct, frozen=True):
    """What a control found and did with one process.

    Attributes:
        found: There is such a process.
        before: Its row before the control (None if not found).
        after: Its row after it.
        applied: It holds already (no worker was in a step of it, or there was nothing to do).
        refused: Why it cannot be done (terminated, ...), or None.
        woken: Processes that became ready (parents of one that was killed; itself when played).
        owner: The worker to be told: it must apply the intent, or does not know yet what was applied.
    """

    pid: int
    found: bool
    before: ProcessRow | None
    after: ProcessRow | None
    applied: bool
    refused: str | None = None
    owner: str | None = None
    woken: Sequence[Woken] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which processes: every given field must match; empty fields do not filter.

    Attributes:
        pids: These and no others.
        trees: These processes and all their descendants.
        classes: Class paths, or the bare class names after the colon or the last dot.
        since: Created at or after this time.
        until: Created at or before this time.
        live: Only those that have not terminated.
        before: For paging: pid below this.
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
    since: float | None = None
    until: float | None = None
    live: bool = False
    before: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
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


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One incarnation of a worker.

    Attributes:
        id: The worker id.
        lock: Path of the file whose lock it holds while it lives (meaningful on its host only).
        slots: How many processes it runs at once.
        state: `running`, `draining` or `stopped`.
        held: How many processes it owns (filled by reads).
        troubles: What is wrong with it, as it said with its last heartbeat, each in one sentence.
    """

    id: str
    host: str
    ospid: int
    name: str
    queues: Sequence[str]
    slots: int
    lock: str | None
    state: str
    started: float
    heartbeat: float
    held: int = 0
    troubles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep found and did.

    Attributes:
        enqueue: Ready and unowned processes, whose task may be lost: to be put on their queues.
        due: Timers that fired.
        dead: Workers whose heartbeat has expired (not yet released: the caller proves and calls
            `release_worker`).
    """

    enqueue: Sequence[Woken] = field(default_factory=tuple)
    due: Sequence[Woken] = field(default_factory=tuple)
    dead: Sequence[WorkerRow] = field(default_factory=tuple)
