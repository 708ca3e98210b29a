"""Queues whose consumer is gone for good: their processes move to another."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update

from persistence.lifecycle import wake_up
from persistence.membership import one_of
from persistence.operations.base import Operation
from persistence.records import TERMINAL, State, Woken
from persistence.tables import processes
from persistence.unit import Needs, Unit

# Through the index of states: those that have terminated are most of the table.
_LIVE = sorted(state.value for state in set(State) - TERMINAL)
_on_old = processes.c.queue == bindparam("old")
_live = select(processes.c.pid).where(_on_old, processes.c.state.in_(_LIVE))
_move = update(processes).where(one_of(processes.c.pid, "pids"), _on_old).values(queue=bindparam("new"))


class MoveQueue(Operation[Sequence[Woken]]):
    """Every live process of one queue belongs to another from now on."""

    alone = True

    def __init__(self, old: str, new: str) -> None:
        super().__init__()
        self._old, self._new = old, new
        self._pids: list[int] = []

    def find(self, unit: Unit) -> None:
        self._pids = [row[0] for row in unit.connection.execute(_live, {"old": self._old})]

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._pids)

    def apply(self, unit: Unit) -> list[Woken]:
        if self._pids:
            unit.connection.execute(_move, {"pids": self._pids, "old": self._old, "new": self._new})
        moved = [unit.rows[pid] for pid in self._pids if unit.rows[pid].queue == self._old]
        for row in moved:
            row.queue = self._new
        return [wake_up(row) for row in moved if row.ready and row.owner is None]
