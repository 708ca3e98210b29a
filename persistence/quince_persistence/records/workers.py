"""Workers, the queues that they take from, and what their sweeps find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from quince_persistence.records import Woken
from quince_persistence.records.controls import ControlOutcome


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


class QueueRow(msgspec.Struct, frozen=True, gc=False):
    """What is ready on a queue, and unowned.

    Attributes:
        depth: How many processes.
        since: Since when the first of them.
    """

    name: str
    depth: int
    since: float


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
