"""The rows that go into and come out of the store: frozen, plain, without behaviour.

Those of which there are many, or that travel between workers and step hosts, are msgspec Structs: made ten
times faster.
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


class NewLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit of which so many may be held at once, for the children of one process."""

    name: str
    slots: int


class LimitRow(msgspec.Struct, frozen=True, gc=False):
    """A named limit.

    Attributes:
        slots: How many processes may hold it at once; None: any number.
        rate: How many may begin in `per` seconds; None: any number.
        owner: The process for whose children it is.
        held: How many hold it.
        waiting: How many wait for it first of all.
        next_at: When its rate lets the next one begin; None: now, or it has none.
    """

    name: str
    slots: int | None
    rate: int | None
    per: float | None
    owner: int | None
    held: int
    waiting: int
    next_at: float | None = None


class LimitWait(msgspec.Struct, frozen=True, gc=False):
    """A process that waits for a limit.

    Attributes:
        ahead: How many come before it.
    """

    pid: int
    name: str
    ahead: int


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


class Telling(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step that runs has said, before it commits.

    Attributes:
        owner, epoch: The claim under which it runs; under any other it is dropped.
        run: A number that this run of the step has for itself; also in its `Step`.
        first: How many of its reports were told before.
        events: Further ones.
    """

    pid: int
    owner: str
    epoch: int
    run: int
    first: int = 0
    events: Sequence[NewEvent] = ()
    status: str | None = None
    progress: Progress | None = None


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


RanStep = tuple[str, float, float]
"""The name of a step, when it began, and for how many seconds it ran."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that one step changed: committed together or not at all.

    Attributes:
        owner, epoch: The claim under which it was made; a write with any other is refused (fenced).
        state: The state that the process enters.
        step: Name of the step that runs next, or in which the process has not ended well.
        checkpoint: Blob to restore from; None leaves the stored one as it is. It is dropped when the process
            finishes well (exit status 0), and else kept.
        outputs: Blob of all outputs; written when given (terminal states).
        error: Blob describing the exception (excepted).
        exit_status, exit_message: How it ended (terminal states).
        children: Processes to insert, in the order of their pids.
        awaits: pids whose termination this process now waits for (state `waiting`). They may be
            children of this very step, older processes, or terminated ones.
        due: Time at which a timer wakes it (state `waiting`), or None.
        signals: Names of the signals that it waits for (state `waiting`); one for each.
        deadline: `due` ends the wait for all signals that have not come, and is nothing to wait for itself.
        wait_any: One of `awaits` and `signals` is enough.
        wait_due: `due` ends the wait, whatever has not come, and is nothing to wait for itself.
        kills: Children that are killed, with their trees.
        attempt: How often the step that runs next has been tried, and has failed.
        refers: Processes that its memory names from now on, besides its children: they are not pruned as long
            as it lives.
        used: Signals that this step has used up; they are dropped.
        sends: Signals to other processes; those to processes that have terminated are dropped.
        limits: Limits for the children.
        release: Give the claim up with this commit.
        paused: Enter the paused flag with this commit (implies release; clears a pause intent).
        reason: With `paused` or `killed`: why, for the history and the row's status.
        revision: That of the code that ran the step; it is kept with the change of state.
        run: That of its `Telling`s: reports that were told are not written again. 0: there were none.
        contents: Large parts of its values, by digest, if these were folded.
        progress: How far it said it was; what has not ended well keeps it.
        ran: The name of the step that has run.
        history: Those that have run since the last line of history that says so, this one too; it says it.
        keep: The checkpoint before it is kept, too, if it has got anything done.
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
    wait_any: bool = False
    wait_due: bool = False
    kills: Sequence[int] = ()
    attempt: int = 0
    refers: Sequence[int] = ()
    used: Sequence[SignalRow] = ()
    sends: Sequence[NewSignal] = ()
    events: Sequence[NewEvent] = ()
    limits: Sequence[NewLimit] = ()
    release: bool = False
    paused: bool = False
    reason: str | None = None
    revision: str | None = None
    run: int = 0
    contents: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    progress: Progress | None = None
    ran: str | None = None
    keep: bool = False
    history: Sequence[RanStep] = ()

    @property
    def failed(self) -> bool:
        """The step that has run is the one that runs next: it has failed. A checkpoint corrects the stored
        one, and changes nothing of what that says of the wait before it."""
        return self.attempt > 0 or self.paused


class Recorded(msgspec.Struct, frozen=True, omit_defaults=True):
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


class StepOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a committed step met.

    Attributes:
        fenced: The claim was lost; nothing was written. All else is then empty.
        awaiting: What is still outstanding after the commit (0: go on at once).
        over: Those that it was to wait for and that had ended before.
        intent: A control that waits to be applied by the owner, or None.
        woken: Processes that waited for this one and are now ready.
        signalled: Those that became ready through the signals that it sent.
        kept: (of `release`) Not released: it was waiting and nothing is left to wait for, and no
            intent is on it; the owner goes on.
        state, paused, ready: What the row says after it.
        itself: (of `release`) Where the task of the process belongs.
        served: Of the children, those that have ended at once with outputs from the cache.
        cascade: What a kill that came into force with this commit did, as `control` would tell it:
            the live descendants of the process and, if an intent was applied, the process itself; and the
            children that the step kills.
            Those not `applied` have an owner to be told.
    """

    fenced: bool = False
    awaiting: int = 0
    over: Sequence[int] = ()
    intent: Control | None = None
    intent_reason: str | None = None
    woken: Sequence[Woken] = ()
    signalled: Sequence[Woken] = ()
    served: Sequence[int] = ()
    kept: bool = False
    state: State | None = None
    paused: bool = False
    ready: bool = False
    cascade: Sequence[ControlOutcome] = ()
    itself: Woken | None = None


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


class Restarted(msgspec.Struct, frozen=True):
    """What a restart has made.

    Attributes:
        pid: The new process.
        step: Before which it begins; None: the first.
        made: All new processes: it, and those that it waits for in the place of others.
        shared: Those that it waits for, or has waited for, and that it shares with the old one.
        woken: Those that are ready.
    """

    pid: int
    step: str | None
    made: Sequence[ProcessRow]
    shared: Sequence[int]
    woken: Sequence[Woken] = ()


class PastStep(msgspec.Struct, frozen=True):
    """A step before which a checkpoint was kept. `number` grows with each; None: the newest one, from which
    the process goes on, or would."""

    number: int | None
    step: str | None


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


class Kept(enum.StrEnum):
    """Why a tree was not pruned."""

    LIVES = "something of it lives"
    RECENT = "it has not ended long enough ago"
    AWAITED = "something that lives waits for it"
    REFERRED = "something that stays refers to it"
    SCHEDULED = "it is the last of a schedule"
    CHILD = "it is a part of a tree, and only whole trees are pruned"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, and what was not.

    Attributes:
        roots: Of the trees.
        pids: All processes.
        kept: Roots that were named, that are there, and that stay.
    """

    roots: Sequence[int] = ()
    pids: Sequence[int] = ()
    kept: Mapping[int, Kept] = field(default_factory=dict)


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


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a worker is, as it says with its heartbeats.

    Attributes:
        load: How many programs of its host want a processor, on the average of a minute.
        processors: How many its host has.
        memory: Bytes that it and all that it has started have in memory, without files that are mapped.
        free: Bytes of memory that its host has left.
        step_hosts: How many it has.
    """

    load: float | None = None
    processors: int | None = None
    memory: int | None = None
    free: int | None = None
    step_hosts: int | None = None


NO_VITALS = Vitals()


class QueueRow(msgspec.Struct, frozen=True, gc=False):
    """What is ready on a queue, and unowned.

    Attributes:
        depth: How many processes.
        since: Since when the first of them.
    """

    name: str
    depth: int
    since: float


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many processes are alike.

    Attributes:
        failed: They have ended, and not well.
    """

    state: State
    paused: bool
    failed: bool
    count: int


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
        metrics: `host:port` where its metrics are served; None: nowhere.
        vitals: How it is, as it said with that.
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
    metrics: str | None = None
    vitals: Vitals = NO_VITALS


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep found and did.

    Attributes:
        enqueue: Ready and unowned processes, whose task may be lost: to be put on their queues.
        due: Timers that fired.
        killed: What a deadline did that is over, with each process of its tree. Those not `applied` have an
            owner to be told.
        dead: Workers whose heartbeat has expired (not yet released: the caller proves and calls
            `release_worker`).
        rated: Somebody waits for a limit that has a rate: another sweep, soon, may let it begin.
    """

    enqueue: Sequence[Woken] = field(default_factory=tuple)
    due: Sequence[Woken] = field(default_factory=tuple)
    dead: Sequence[WorkerRow] = field(default_factory=tuple)
    killed: Sequence[ControlOutcome] = ()
    rated: bool = False
