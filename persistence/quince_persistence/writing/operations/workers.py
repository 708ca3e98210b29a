"""Workers: registering, heartbeats, leaving, and being declared dead."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select, update

from quince_persistence.errors import UnknownWorker
from quince_persistence.records import TERMINAL, State, Woken
from quince_persistence.records.notices import Happening
from quince_persistence.records.workers import Vitals, WorkerRow
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import WRITER, counters, processes, workers
from quince_persistence.writing.happenings import Happened
from quince_persistence.writing.lifecycle import as_woken, release
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_held = select(processes.c.pid).where(processes.c.owner == bindparam("owner"))
_row = select(workers.c.name, workers.c.host).where(workers.c.id == bindparam("at"))

# Through the index of states: those that have terminated are most of the table.
_LIVE = sorted(state.value for state in set(State) - TERMINAL)
_on_queue = processes.c.queue == bindparam("old")
_queued = select(processes.c.pid).where(_on_queue, processes.c.state.in_(_LIVE))
_move = update(processes).where(one_of(processes.c.pid, "pids"), _on_queue).values(queue=bindparam("new"))


MARKED_SECONDS = 86_400.0
"""Age from which on a writer's mark is of no use."""


_GIVEN = ("id", "host", "ospid", "name", "slots", "lock", "state", "started", "metrics")


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


SILENT = "was not heard of any more (frozen, cut off or dead)"


class Heartbeat(Operation[None]):
    """A worker says that it lives."""

    def __init__(
        self, worker_id: str, state: str | None, troubles: Sequence[str], vitals: Vitals | None = None
    ) -> None:
        super().__init__()
        self._id, self._state, self._troubles, self._vitals = worker_id, state, list(troubles), vitals

    def apply(self, unit: UnitOfWork) -> None:
        troubles = msgspec.json.encode(self._troubles).decode() if self._troubles else None
        values: dict[str, object] = {"heartbeat": unit.now, "troubles": troubles}
        if self._state is not None:
            values["state"] = self._state
        if self._vitals is not None:
            values["vitals"] = msgspec.json.encode(self._vitals).decode()
        done = unit.connection.execute(update(workers).where(workers.c.id == self._id).values(values))
        if done.rowcount == 0:
            raise UnknownWorker(self._id)


class ReleaseWorker(Operation[Sequence[Woken]]):
    """A worker that is no more loses its row, its processes, and the queue that was its alone."""

    alone = True

    def __init__(
        self, worker_id: str, queues: tuple[str, str] | None, *, died: bool, silent: bool = False
    ) -> None:
        super().__init__()
        self._id, self._queues, self._died, self._silent = worker_id, queues, died, silent
        self._held: list[int] = []
        self._queued: list[int] = []

    def find(self, unit: UnitOfWork) -> None:
        self._held = sorted(row[0] for row in unit.connection.execute(_held, {"owner": self._id}))
        if self._queues is not None:
            self._queued = [row[0] for row in unit.connection.execute(_queued, {"old": self._queues[0]})]

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._held, self._queued)

    def apply(self, unit: UnitOfWork) -> list[Woken]:
        there = unit.connection.execute(_row, {"at": self._id}).first()
        unit.connection.execute(delete(workers).where(workers.c.id == self._id))
        if self._died and there is not None:
            unit.happenings.add(_death(self._id, *there, silent=self._silent, held=len(self._held)))
        moved = self._move(unit)
        woken: dict[int, Woken] = {}
        released = [row for pid in self._held if (row := unit.rows[pid]).owner == self._id]
        if self._died:
            self._tell(unit, released)
        for row in released:
            for outcome in release(unit, row):
                woken.update((parent.pid, parent) for parent in outcome.woken)
        free = [row for row in (*released, *moved) if row.ready and row.owner is None]
        woken.update((row.pid, as_woken(row)) for row in free)
        return [one for pid, one in woken.items() if unit.rows[pid].ready]

    def answer(self, unit: UnitOfWork, outcome: Sequence[Woken]) -> Sequence[Woken]:
        return [*outcome, *unit.grants.take()]

    def _move(self, unit: UnitOfWork) -> list[MutableRow]:
        """What was queued for it alone belongs to another queue from now on."""
        if self._queues is None or not self._queued:
            return []
        old, new = self._queues
        unit.connection.execute(_move, {"pids": self._queued, "old": old, "new": new})
        moved = [unit.rows[pid] for pid in self._queued if unit.rows[pid].queue == old]
        for row in moved:
            row.queue = new
            if row.granted is not None:
                unit.grants.note(row)
        return moved

    def _tell(self, unit: UnitOfWork, released: Sequence[MutableRow]) -> None:
        """Say it in the history of those that were at work: their steps begin again."""
        for row in released:
            if row.at_work:
                row.deaths += 1
                how = SILENT if self._silent else "died"
                text = f"worker {self._id} {how} while it held this process, in {_step(row)}"
                body = {"text": text, "worker": self._id} | ({"step": row.step} if row.step else {})
                unit.log(row.pid, "death", msgspec.json.encode(body), "quince")


def _death(worker_id: str, name: str, host: str, *, silent: bool, held: int) -> Happened:
    how = SILENT if silent else "has died"
    text = f"worker {name} on {host} {how}; {held} processes that it held go on elsewhere"
    body = {"text": text, "worker": worker_id, "host": host, "held": held}
    return Happened(f"{worker_id}-died", Happening.TROUBLE, body)


def _step(row: MutableRow) -> str:
    return f"step {row.step}" if row.step else "its first step"
