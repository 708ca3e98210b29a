"""Who works, and what waits for it: workers, queues, limits, schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quince.recovery.lease import lives_here
from quince.settings import EXPIRY_SECONDS
from quince.troubles import grave
from quince_persistence.records.limits import LimitRow
from quince_persistence.records.schedules import ScheduleRow
from quince_persistence.records.workers import QueueRow, WorkerRow


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it stood when it was read.

    Attributes:
        row: What the store has of it: id, name, host, ospid, queues, slots, held, troubles, started.
        seen: When it was read, in seconds since the epoch.
    """

    row: WorkerRow
    seen: float

    @property
    def load(self) -> float | None:
        """Of its host: how many programs want a processor, on the average of a minute; None: not known."""
        return self.row.vitals.load

    @property
    def processors(self) -> int | None:
        """How many its host has; None: not known."""
        return self.row.vitals.processors

    @property
    def memory(self) -> int | None:
        """Bytes that it and all that it has started have in memory; None: not known."""
        return self.row.vitals.memory

    @property
    def free(self) -> int | None:
        """Bytes of memory that its host has left; None: not known."""
        return self.row.vitals.free

    @property
    def step_hosts(self) -> int | None:
        """How many it has; None: not known."""
        return self.row.vitals.step_hosts

    @property
    def beat(self) -> float:
        """Seconds since its last heartbeat."""
        return max(0.0, self.seen - self.row.heartbeat)

    @property
    def alive(self) -> bool:
        """Its heartbeat has not expired."""
        return self.beat <= EXPIRY_SECONDS

    @property
    def state(self) -> str:
        """`running`, `draining`, `stopped`; `in trouble`; `cut off` from the store, or `lost`."""
        if not self.alive:
            return "cut off" if lives_here(self.row) else "lost"
        return "in trouble" if grave(self.row.troubles) else self.row.state


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits on a queue for a worker.

    Attributes:
        name: Of the queue; `run:...` belongs to one program alone.
        depth: How many processes are ready there, and no worker holds them.
        age: Seconds for which the oldest of them has been ready; None: there is none.
        workers: How many workers that live take from it.
    """

    name: str
    depth: int
    age: float | None
    workers: int


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and who has to do with it.

    Attributes:
        row: Its name, slots, rate, how many hold it and wait for it, when its rate lets the next one begin.
        holders: pids of some of those that hold it.
        waiting: pids of the first ones that wait for it, in the order in which they get it.
    """

    row: LimitRow
    holders: Sequence[int] = ()
    waiting: Sequence[int] = ()


Failures = Mapping[tuple[str, str, int | None], int]
"""How many have ended so, and not well, by class path, state and exit status."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule.

    Attributes:
        row: As the store has it: name, schedule (what is made when), paused, next_at, last_at, last_pid.
        last_state: What the process that it has made last is at a glance; None: it has made none, or it was
            pruned.
    """

    row: ScheduleRow
    last_state: str | None = None


def workers_of(rows: Sequence[WorkerRow], seen: float) -> list[Worker]:
    """By host and name."""
    return [Worker(row, seen) for row in sorted(rows, key=lambda one: (one.host, one.name, one.started))]


def queues_of(rows: Sequence[QueueRow], workers: Sequence[Worker], seen: float) -> list[Queue]:
    """Those on which something waits, or from which a worker that lives takes, by name."""
    found = {row.name: row for row in rows}
    alive = [worker for worker in workers if worker.alive]
    names = sorted({*found, *(name for worker in alive for name in worker.row.queues)})
    return [
        Queue(
            name,
            found[name].depth if name in found else 0,
            max(0.0, seen - found[name].since) if name in found else None,
            sum(name in worker.row.queues for worker in alive),
        )
        for name in names
    ]
