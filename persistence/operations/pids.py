"""Blocks of fresh pids."""

from __future__ import annotations

from sqlalchemy import bindparam, update

from persistence.operations.base import Operation
from persistence.tables import counters
from persistence.unit import Needs, Unit

_take = (
    update(counters)
    .where(counters.c.name == "pid")
    .values(value=counters.c.value + bindparam("count"))
    .returning(counters.c.value)
)


class TakePids(Operation[range]):
    """So many pids that nobody has had."""

    prompt = True

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def need(self, needs: Needs) -> None:
        """No process."""

    def apply(self, unit: Unit) -> range:
        last = unit.connection.execute(_take, {"count": self._count}).scalar_one()
        return range(last - self._count + 1, last + 1)
