"""Notices that are still to be sent, and to whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from sqlalchemy import bindparam, func, select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records.notices import Happening, ReceiverRow
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import notices, receivers

n, r = notices, receivers

_due = select(n.c.id).where(one_of(n.c.receiver, "names"), n.c.due <= bindparam("now")).limit(1)
_receivers = select(r.c.name, r.c.event, r.c.seen).order_by(r.c.name, r.c.event)
_pending = select(n.c.receiver, func.count(), func.min(n.c.at)).group_by(n.c.receiver)
_errors = select(n.c.receiver, n.c.error).where(n.c.error.is_not(None)).order_by(n.c.due)


class NoticeReads(ABC):
    """The reads of notices that `StoreContract` names."""

    @abstractmethod
    def _reader(self) -> RowReader:
        """What reads. Raises StoreClosed if the store is not open."""

    @abstractmethod
    def clock(self) -> float:
        """The time by the clock of the store."""

    def notices_due(self, receivers: Collection[str]) -> bool:
        return bool(receivers) and bool(self._reader().rows(_due, names=sorted(receivers), now=self.clock()))

    def receivers(self) -> list[ReceiverRow]:
        reader = self._reader()
        events: dict[str, list[Happening]] = {}
        seen: dict[str, float] = {}
        for name, event, at in reader.rows(_receivers):
            events.setdefault(name, []).append(Happening(event))
            seen[name] = max(at, seen.get(name, at))
        pending = {name: (count, oldest) for name, count, oldest in reader.rows(_pending)}
        errors = dict(map(tuple, reader.rows(_errors)))
        return [
            ReceiverRow(
                name,
                tuple(events.get(name, ())),
                seen.get(name),
                *pending.get(name, (0, None)),
                errors.get(name),
            )
            for name in sorted(events.keys() | pending.keys())
        ]
