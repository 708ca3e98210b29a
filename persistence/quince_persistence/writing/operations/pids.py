"""Blocks of fresh pids."""

from __future__ import annotations

from sqlalchemy import bindparam, case, func, select, update

from quince_persistence.schema.tables import counters, processes
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import UnitOfWork

# Greater than every pid in the table too: programs that outlived the restoring of a backup may have
# used pids that the counter of the backup does not know of.
_highest = select(func.coalesce(func.max(processes.c.pid), 0)).scalar_subquery()
_last = case((counters.c.value < _highest, _highest), else_=counters.c.value)
_take = (
    update(counters)
    .where(counters.c.name == "pid")
    .values(value=_last + bindparam("count"))
    .returning(counters.c.value)
)


class AllocatePids(Operation[range]):
    """Fresh pids, which no process has had."""

    prompt = True

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def apply(self, unit: UnitOfWork) -> range:
        last = unit.connection.execute(_take, {"count": self._count}).scalar_one()
        return range(last - self._count + 1, last + 1)
