"""What running steps say before they commit: how far they are, their status, their reports."""

from __future__ import annotations

from collections.abc import Sequence

from quince_persistence.records.steps import Telling
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.said import Said
from quince_persistence.writing.events import encode_events, marked
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class Tell(Operation[None]):
    """Many of them at once. What was said under a claim that was lost is dropped."""

    def __init__(self, tellings: Sequence[Telling]) -> None:
        super().__init__()
        self._tellings = tuple(tellings)

    def need(self, needs: Needs) -> None:
        needs.pids.update(one.pid for one in self._tellings)

    def apply(self, unit: UnitOfWork) -> None:
        for one in self._tellings:
            row = unit.rows.get(one.pid)
            if row is not None and row.owner == one.owner and row.epoch == one.epoch:
                _tell(unit, row, one)


def _tell(unit: UnitOfWork, row: MutableRow, telling: Telling) -> None:
    before = Said.read(row.progress)
    told = before.told if before.run == telling.run else 0
    new = telling.events[told - telling.first :] if telling.first <= told else ()  # else some were lost
    for kind, body, author in marked(row, encode_events(new)):
        unit.log(row.pid, kind, body, author)
    row.progress = Said(telling.run, told + len(new), telling.progress).text()
    if telling.status is not None and not row.paused:
        row.status = telling.status
    unit.note(row)
