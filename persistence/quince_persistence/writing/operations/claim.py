"""Claims: compare-and-swap of the owner, the first in priority first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import bindparam, func, literal_column, select

from quince_persistence.databases.structured_log import StructuredLogger
from quince_persistence.records import Claim, ProcessRow, State
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.kept import read_replaced
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import checkpoints, processes
from quince_persistence.writing.lifecycle import enter
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_replaced = select(checkpoints.c.pid, checkpoints.c.replaced).where(one_of(checkpoints.c.pid, "pids"))
_log = StructuredLogger("quince.store")

p = processes
_asked = processes.alias("asked")
_least = select(func.min(_asked.c.priority)).where(one_of(_asked.c.pid, "pids")).scalar_subquery()
# As in the index, which is empty where nobody asks for a priority.
_urgent = (
    select(p.c.pid)
    .where(
        p.c.queue == bindparam("queue"),
        p.c.idle_since > 0,
        literal_column("processes.priority") > literal_column("0"),
        p.c.priority > _least,
    )
    .order_by(p.c.priority.desc())
    .limit(bindparam("most"))
)


class ClaimProcesses(Operation[Sequence[Claim]]):
    """Those that are ready and unowned become the owner's, running, with epoch + 1.

    Args:
        queues: Of the owner: what is ready there and comes first is taken in the place of the last of `pids`;
            what is not there is not taken. None given: it does not matter where they are.
        leaving: Not to be taken unless they stand in `pids`.
    """

    def __init__(
        self,
        pids: Sequence[int],
        owner: str,
        queues: Sequence[str] = (),
        leaving: Collection[int] = (),
    ) -> None:
        super().__init__()
        self._pids = tuple(dict.fromkeys(pids))
        self._owner = owner
        self._queues = tuple(queues)
        self._leaving = frozenset(leaving)
        self._urgent: list[int] = []

    def find(self, unit: UnitOfWork) -> None:
        self._urgent = []
        unit.claiming += len(self._pids)
        given = {"pids": self._pids, "most": unit.claiming + len(self._leaving)}
        for queue in filter(unit.has_urgent, self._queues):
            rows = unit.connection.execute(_urgent, {"queue": queue, **given}).all()
            self._urgent += [row[0] for row in rows if row[0] not in self._leaving]

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._pids, self._urgent)

    def apply(self, unit: UnitOfWork) -> list[ProcessRow]:
        unknown = [pid for pid in self._pids if pid not in unit.rows]
        if unknown:
            _log.warning("there are no processes %(pids)s here; tasks for them are dropped", pids=unknown)
        claimed = [self._claim(unit, row) for row in self._first(unit)]
        unit.wanted_blobs.update(row.pid for row in claimed)
        return claimed

    def _first(self, unit: UnitOfWork) -> list[MutableRow]:
        """Those to take: of equals, those that were named."""
        found = [
            row
            for pid in dict.fromkeys([*self._pids, *self._urgent])
            if (row := unit.rows.get(pid)) is not None and row.owner is None and row.ready and _whole(row)
        ]
        if self._queues:
            found = [row for row in found if row.queue in self._queues]
        if self._urgent:
            found.sort(key=lambda row: -row.priority)
        return found[: len(self._pids)]

    def _claim(self, unit: UnitOfWork, row: MutableRow) -> ProcessRow:
        row.owner = self._owner
        row.epoch += 1
        if row.state == State.RUNNING:  # it was released in the middle of its work
            unit.log(row.pid, "claim", msgspec.json.encode({"step": row.step}), self._owner)
        enter(unit, row, State.RUNNING, self._owner)
        unit.change(row)
        return row.frozen()

    def answer(self, unit: UnitOfWork, outcome: list[ProcessRow]) -> list[Claim]:
        restarts = [row.pid for row in outcome if row.options.restart_of is not None]
        replaced = (
            dict(map(tuple, unit.connection.execute(_replaced, {"pids": restarts}))) if restarts else {}
        )
        return [Claim(row, *unit.blobs(row.pid), read_replaced(replaced.get(row.pid))) for row in outcome]


def _whole(row: MutableRow) -> bool:
    """Whether it can be read: with what it asks for lost, it is not to run."""
    if (damage := row.damage) is not None:
        _log.error("process %(pid)s cannot be run, its row is damaged: %(error)s", pid=row.pid, error=damage)
    return damage is None
