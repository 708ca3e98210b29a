"""Turns: what one program of all does now and then."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from quince_persistence.schema.tables import counters
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import UnitOfWork

_last = select(counters.c.value).where(counters.c.name == bindparam("turn")).with_for_update()
_take = update(counters).where(counters.c.name == bindparam("turn")).values(value=bindparam("now"))


class TakeTurn(Operation[bool]):
    """Take the turn, if nobody has taken it in the last so many seconds."""

    alone = True

    def __init__(self, name: str, every: float) -> None:
        super().__init__()
        self._name, self._every = name, every

    def apply(self, unit: UnitOfWork) -> bool:
        last = unit.connection.execute(_last, {"turn": self._name}).scalar()
        now = int(unit.now)
        if last is None:  # two at once: one of them begins again, and finds the turn taken
            unit.connection.execute(insert(counters), {"name": self._name, "value": now})
        elif abs(now - last) < self._every:  # a clock that was set back keeps nobody for long
            return False
        else:
            unit.connection.execute(_take, {"turn": self._name, "now": now})
        return True
