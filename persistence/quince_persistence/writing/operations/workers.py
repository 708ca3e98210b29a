"""Workers: registering, heartbeats, leaving, and being declared dead."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select, update

from quince_persistence.codec import encode
from quince_persistence.errors import UnknownWorker
from quince_persistence.records import SUSPECT, TERMINAL, State, Woken, WorkerRow
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import WRITER, counters, processes, workers
from quince_persistence.writing.lifecycle import as_woken, end, release
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_held = select(processes.c.pid).where(processes.c.owner == bindparam("owner"))

# Through the index of states: those that have terminated are most of the table.
_LIVE = sorted(state.value for state in set(State) - TERMINAL)
_on_queue = processes.c.queue == bindparam("old")
_queued = select(processes.c.pid).where(_on_queue, processes.c.state.in_(_LIVE))
_move = update(processes).where(one_of(processes.c.pid, "pids"), _on_queue).values(queue=bindparam("new"))


TOGETHER = 1.0
"""Seconds between two claims that count as one."""


MARKED_SECONDS = 86_400.0
"""Age from which on a writer's mark is of no use."""


_GIVEN = ("id", "host", "ospid", "name", "slots", "lock", "state", "started")


class RegisterWorker(Operation[None]):
    """A worker's row, with a heartbeat of now. The marks of programs that are long gone go."""

    def __init__(self, worker: WorkerRow) -> None:
        super().__init__()
        self._worker = worker

    def apply(self, unit: UnitOfWork) -> None:
        worker = self._worker
        old = int((unit.now - MARKED_SECONDS) * 1e6)
        marks = counters.c.name.startswith(WRITER) & (counters.c.value < old)
        unit.connection.execute(delete(counters).where(marks))
        unit.connection.execute(delete(workers).where(workers.c.id == worker.id))
        unit.connection.execute(
            workers.insert(),
            {name: getattr(worker, name) for name in _GIVEN}
            | {"queues": msgspec.json.encode(list(worker.queues)).decode(), "heartbeat": unit.now},
        )


class Heartbeat(Operation[None]):
    """A worker says that it lives."""

    def __init__(self, worker_id: str, state: str | None, troubles: Sequence[str]) -> None:
        super().__init__()
        self._id, self._state, self._troubles = worker_id, state, list(troubles)

    def apply(self, unit: UnitOfWork) -> None:
        troubles = msgspec.json.encode(self._troubles).decode() if self._troubles else None
        values: dict[str, object] = {"heartbeat": unit.now, "troubles": troubles}
        if self._state is not None:
            values["state"] = self._state
        done = unit.connection.execute(update(workers).where(workers.c.id == self._id).values(values))
        if done.rowcount == 0:
            raise UnknownWorker(self._id)


class ReleaseWorker(Operation[Sequence[Woken]]):
    """A worker that is no more loses its row, its processes, and the queue that was its alone."""

    alone = True

    def __init__(
        self, worker_id: str, max_deaths: int, queues: tuple[str, str] | None, *, died: bool, proven: bool
    ) -> None:
        super().__init__()
        self._id, self._max_deaths, self._queues = worker_id, max_deaths, queues
        self._died, self._proven = died, proven
        self._held: list[int] = []
        self._queued: list[int] = []

    def find(self, unit: UnitOfWork) -> None:
        self._held = sorted(row[0] for row in unit.connection.execute(_held, {"owner": self._id}))
        if self._queues is not None:
            self._queued = [row[0] for row in unit.connection.execute(_queued, {"old": self._queues[0]})]

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._held, self._queued)

    def apply(self, unit: UnitOfWork) -> list[Woken]:
        unit.connection.execute(delete(workers).where(workers.c.id == self._id))
        moved = self._move(unit)
        woken: dict[int, Woken] = {}
        released = [row for pid in self._held if (row := unit.rows[pid]).owner == self._id]
        if self._died:
            self._blame(unit, released)
        for row in released:
            if row.deaths_alone >= self._max_deaths and row.intent is None:
                self._give_up(unit, row, woken)
            else:
                for outcome in release(unit, row):
                    woken.update((parent.pid, parent) for parent in outcome.woken)
        free = [row for row in (*released, *moved) if row.ready and row.owner is None]
        woken.update((row.pid, as_woken(row)) for row in free)
        return [one for pid, one in woken.items() if unit.rows[pid].ready]

    def _move(self, unit: UnitOfWork) -> list[MutableRow]:
        """What was queued for it alone belongs to another queue from now on."""
        if self._queues is None or not self._queued:
            return []
        old, new = self._queues
        unit.connection.execute(_move, {"pids": self._queued, "old": old, "new": new})
        moved = [unit.rows[pid] for pid in self._queued if unit.rows[pid].queue == old]
        for row in moved:
            row.queue = new
        return moved

    def _blame(self, unit: UnitOfWork, released: Sequence[MutableRow]) -> None:
        """Count the death for those that may have caused it: they were at work. Of those with which workers
        have died before, that is the one that was claimed last: a worker claims one after the other.

        It proves something only against one that was at work alone.
        """
        at_work = [row for row in released if row.at_work]
        for row in at_work:
            text = f"worker {self._id} died while it held this process, in {_step(row)}"
            unit.log(row.pid, "death", msgspec.json.encode({"text": text, "worker": self._id}), "quince")
        last = max((row.updated for row in at_work if row.deaths >= SUSPECT), default=0.0)
        for row in at_work:
            if row.deaths < SUSPECT or last - row.updated < TOGETHER:
                row.deaths += 1
        if len(at_work) == 1 and self._proven:
            at_work[0].deaths_alone += 1

    def _give_up(self, unit: UnitOfWork, row: MutableRow, woken: dict[int, Woken]) -> None:
        """End a process that is poison: workers die of it."""
        story = (
            f"{row.deaths_alone} workers died while they held this process, and nothing else was at work in "
            f"them, the last one ({self._id}) before or in {_step(row)}; it is not tried again"
        )
        error = {"type": "WorkerDied", "text": story, "traceback": ""}
        unit.changes.results[row.pid] = (None, encode(error))
        row.exit_message = f"WorkerDied: {story}"
        woken.update((parent.pid, parent) for parent in end(unit, row, State.EXCEPTED))


def _step(row: MutableRow) -> str:
    return f"step {row.step}" if row.step else "its first step"
