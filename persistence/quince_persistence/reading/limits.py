"""Named limits: who holds them, who waits for them, what their rates allow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select

from quince_persistence.limit_records import LimitRow, LimitWait
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import ProcessRow, Woken
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import limit_uses, limits, processes

p, u = processes, limit_uses

ORDER = (u.c.priority.desc(), u.c.pid)
"""Who comes first of those that wait for a limit."""

_all = select(limits).order_by(limits.c.name)
_counts = select(u.c.name, u.c.held, func.count()).group_by(u.c.name, u.c.held)
_users = live_rows().join(u, u.c.pid == p.c.pid).where(u.c.name == bindparam("name"))
_holders = _users.where(u.c.held.is_(True)).order_by(p.c.pid).limit(bindparam("most"))
_waiting = _users.where(u.c.held.is_(False)).order_by(*ORDER).limit(bindparam("most"))
_names = select(u.c.name).where(one_of(u.c.pid, "pids"), u.c.held.is_(False)).distinct()
_place = func.row_number().over(partition_by=u.c.name, order_by=ORDER)
_places = select(u.c.pid, u.c.name, _place.label("place")).where(
    one_of(u.c.name, "names"), u.c.held.is_(False)
)
_in_places = _places.subquery()
_waits = select(_in_places).where(one_of(_in_places.c.pid, "pids"))
_ready = select(p.c.pid, p.c.owner, p.c.queue, p.c.priority).where(
    one_of(p.c.pid, "pids"), p.c.idle_since > 0
)


def burst(rate: int, per: float) -> float:
    """How many may begin at once after a time in which none has: what the rate gives in a second, or one."""
    return max(1.0, rate / per)


def tokens_left(rate: int, per: float, tokens: float | None, stamp: float | None, now: float) -> float:
    """How many a rate lets begin now.

    Args:
        tokens, stamp: How many it let begin, when; None: it was never used.
    """
    if tokens is None or stamp is None:
        return burst(rate, per)
    return min(burst(rate, per), tokens + max(0.0, now - stamp) * rate / per)


class LimitReads(ABC):
    """The reads of limits that `StoreContract` names."""

    @abstractmethod
    def _reader(self) -> RowReader:
        """What reads. Raises StoreClosed if the store is not open."""

    @abstractmethod
    def clock(self) -> float:
        """The time by the clock of the store."""

    def limits(self) -> list[LimitRow]:
        uses: dict[str, dict[bool, int]] = defaultdict(dict)
        for name, held, count in self._reader().rows(_counts):
            uses[name][bool(held)] = count
        rows = {row.name: row for row in self._reader().rows(_all)}
        now = self.clock()
        there = {
            row.name for row in rows.values() if row.owner is None and (row.slots, row.rate) != (None, None)
        }
        names = sorted(there | uses.keys())
        return [_limit_row(name, rows.get(name), uses.get(name, {}), now) for name in names]

    def limit_users(self, name: str, *, held: bool, most: int = 1000) -> list[ProcessRow]:
        rows = self._reader().rows(_holders if held else _waiting, name=name, most=most)
        return [MutableRow(*row).frozen() for row in rows]

    def limit_waits(self, pids: Sequence[int]) -> dict[int, LimitWait]:
        asked = list(pids)
        if not asked:
            return {}
        names = [row[0] for row in self._reader().rows(_names, pids=asked)]
        rows = self._reader().rows(_waits, names=names, pids=asked) if names else []
        return {row[0]: LimitWait(row[0], row[1], row[2] - 1) for row in rows}

    def ready(self, pids: Sequence[int]) -> list[Woken]:
        return [Woken(*row) for row in self._reader().rows(_ready, pids=list(pids))]


def _limit_row(name: str, row: Any, uses: dict[bool, int], now: float) -> LimitRow:
    held, waiting = uses.get(True, 0), uses.get(False, 0)
    if row is None:
        return LimitRow(name, None, None, None, None, held, waiting)
    next_at = None
    if row.rate is not None:
        left = tokens_left(row.rate, row.per, row.tokens, row.stamp, now)
        next_at = None if left >= 1 else now + (1 - left) * row.per / row.rate
    return LimitRow(name, row.slots, row.rate, row.per, row.owner, held, waiting, next_at)
