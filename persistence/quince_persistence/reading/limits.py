"""Named limits: who holds them, who waits for them, what their rates allow."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeGuard, cast

import msgspec
from sqlalchemy import bindparam, func, select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import ProcessRow, Woken
from quince_persistence.records.limits import LimitRow, LimitWait
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


class StoredLimit(msgspec.Struct, frozen=True, gc=False):
    """A row of `limits`. One that is damaged lets nobody begin.

    Attributes:
        tokens: How many its rate let begin, when that was written down (`stamp`); None: it was never used.
        damage: Why it cannot be read; None: it can.
    """

    name: str
    slots: int | None
    rate: int | None
    per: float | None
    tokens: float | None
    stamp: float | None
    owner: int | None
    damage: str | None = None

    @classmethod
    def of(cls, row: Any) -> StoredLimit:
        """As the row has it."""
        limit = cls(row.name, row.slots, row.rate, row.per, row.tokens, row.stamp, row.owner)
        sound = {
            "slots": limit.slots is None or (type(limit.slots) is int and limit.slots >= 0),
            "rate": limit.rate is None or (type(limit.rate) is int and limit.rate > 0),
            "per": limit.rate is None or (_is_number(limit.per) and limit.per > 0),
            "tokens": limit.tokens is None or _is_number(limit.tokens),
            "stamp": limit.stamp is None or _is_number(limit.stamp),
        }
        wrong = [f"{name} is {getattr(limit, name)!r}" for name, is_sound in sound.items() if not is_sound]
        if not wrong:
            return limit
        return cls(limit.name, 0, None, None, None, None, limit.owner, damage=", ".join(wrong))

    def lets_begin(self, now: float) -> float | None:
        """How many its rate lets begin now; None: it has none. After a time in which none has begun that is
        what it gives in a second, or one."""
        if self.rate is None or self.per is None:
            return None
        burst = max(1.0, self.rate / self.per)
        if self.tokens is None or self.stamp is None:
            return burst
        return min(burst, self.tokens + max(0.0, now - self.stamp) * self.rate / self.per)

    def next_at(self, now: float) -> float | None:
        """When its rate lets the next one begin; None: now, or it has none."""
        left = self.lets_begin(now)
        if left is None or left >= 1 or self.rate is None or self.per is None:
            return None
        return now + (1 - left) * self.per / self.rate


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(cast(float, value))


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
        rows = {row.name: StoredLimit.of(row) for row in self._reader().rows(_all)}
        now = self.clock()
        there = {
            row.name for row in rows.values() if row.owner is None and (row.slots, row.rate) != (None, None)
        }
        names = sorted(there | uses.keys())
        return [_limit_row(name, rows.get(name), uses.get(name, {}), now) for name in names]

    def _damaged_limits(self, reader: RowReader) -> list[str]:
        found = [limit for row in reader.rows(_all) if (limit := StoredLimit.of(row)).damage is not None]
        return [
            f"limit {one.name} cannot be read, so nobody is given it: {one.damage} (set it anew)"
            for one in found
        ]

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


def _limit_row(name: str, row: StoredLimit | None, uses: dict[bool, int], now: float) -> LimitRow:
    held, waiting = uses.get(True, 0), uses.get(False, 0)
    if row is None:
        return LimitRow(name, None, None, None, None, held, waiting)
    next_at = row.next_at(now)
    return LimitRow(name, row.slots, row.rate, row.per, row.owner, held, waiting, next_at, row.damage)
