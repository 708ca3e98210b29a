"""Limits: setting and removing them, and what a sweep does about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select, update

from quince_persistence.reading.limits import StoredLimit
from quince_persistence.reading.worker_rows import live_queues
from quince_persistence.records import State, Woken
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import limit_uses, limits, processes
from quince_persistence.schema.upsert import or_replacing
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import UnitOfWork

STRANDED_SECONDS = 5.0
"""So long a process keeps a limit for which others wait while no worker consumes its queue."""
AT_ONCE = 500
"""How many lose theirs in one sweep."""

u, p = limit_uses, processes

_set = or_replacing(limits, "slots", "rate", "per", "tokens", "stamp")
_waited = exists().where(u.c.name == limits.c.name, u.c.held.is_(False))
_waited_for = select(limits).where(_waited)
_held = select(u.c.name, func.count()).where(one_of(u.c.name, "names"), u.c.held.is_(True)).group_by(u.c.name)
_ended_well = and_(p.c.state == State.FINISHED.value, func.coalesce(p.c.exit_status, 0) == 0)
_lifted = and_(limits.c.slots.is_(None), limits.c.rate.is_(None))
_orphaned = and_(
    limits.c.owner.is_not(None),
    ~exists().where(p.c.pid == limits.c.owner, ~_ended_well),
)
_lift = (
    update(limits).where(limits.c.name == bindparam("at"), ~_lifted).values(slots=None, rate=None, per=None)
)
_over = select(limits.c.name).where(or_(_lifted, _orphaned), ~exists().where(u.c.name == limits.c.name))
_waited_on = select(limits.c.name).where(
    one_of(limits.c.name, "names"),
    exists().where(u.c.name == limits.c.name, u.c.held.is_(False), one_of(u.c.queue, "live")),
)
_holding = select(u.c.pid).where(one_of(u.c.name, "names"), u.c.held.is_(True))
_stranded = (
    select(p.c.pid)
    .where(
        *(one_of(p.c.pid, "pids"), p.c.granted.is_(True)),
        *(p.c.idle_since > 0, p.c.idle_since < bindparam("before"), ~one_of(p.c.queue, "live")),
    )
    .limit(AT_ONCE)
)


class SetLimit(Operation[Sequence[Woken]]):
    """A limit, as it is from now on."""

    alone = True

    def __init__(self, name: str, slots: int | None, rate: int | None, per: float) -> None:
        super().__init__()
        self._row = {"name": name, "slots": slots, "rate": rate, "per": None if rate is None else per}

    def apply(self, unit: UnitOfWork) -> Sequence[Woken]:
        row = self._row | {"tokens": None, "stamp": None}
        unit.connection.execute(_set[unit.connection.dialect.name], row)
        unit.grants.look_at([str(self._row["name"])])
        return ()

    def answer(self, unit: UnitOfWork, outcome: Sequence[Woken]) -> Sequence[Woken]:
        return unit.grants.take()


class RemoveLimit(Operation["Sequence[Woken] | None"]):
    """No limit of this name any more. Its row goes when nobody stands at it."""

    alone = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def apply(self, unit: UnitOfWork) -> bool:
        there = unit.connection.execute(_lift, {"at": self._name}).rowcount > 0
        unit.grants.look_at([self._name], over=True)
        return there

    def answer(self, unit: UnitOfWork, outcome: bool) -> Sequence[Woken] | None:
        return unit.grants.take() if outcome else None


def find_limits(unit: UnitOfWork) -> list[int]:
    """Have those looked at that may have room (a rate gives some with time, and who was locked was passed
    over), and those that nobody needs any more.

    Returns:
        Who is to lose limits for which others wait; see `_find_stranded`.
    """
    connection, now = unit.connection, unit.now
    unit.grants.look_at((row[0] for row in connection.execute(_over)), over=True)
    waited_for = [StoredLimit.of(row) for row in connection.execute(_waited_for)]
    if not waited_for:
        return []
    unit.grants.rated = any(row.rate is not None for row in waited_for)
    names = [row.name for row in waited_for]
    held = dict(map(tuple, connection.execute(_held, {"names": names})))
    unit.grants.look_at(row.name for row in waited_for if _has_room(row, held.get(row.name, 0), now))
    full = [row.name for row in waited_for if row.slots is not None and held.get(row.name, 0) >= row.slots]
    return _find_stranded(connection, full, now)


def _find_stranded(connection: Connection, full: Sequence[str], now: float) -> list[int]:
    """Who has been ready for a while on a queue that no worker consumes, and holds a limit for which others
    wait on one that is consumed."""
    live = sorted(live_queues(connection)) if full else []
    if not live:
        return []
    wanted = [row[0] for row in connection.execute(_waited_on, {"names": full, "live": live})]
    if not wanted:
        return []
    holding = [row[0] for row in connection.execute(_holding, {"names": wanted})]
    given = {"pids": holding, "before": now - STRANDED_SECONDS, "live": live}
    return [row[0] for row in connection.execute(_stranded, given)]


def _has_room(limit: StoredLimit, held: int, now: float) -> bool:
    if limit.slots is not None and held >= limit.slots:
        return False
    left = limit.lets_begin(now)
    return left is None or left >= 1 or (limit.stamp or 0.0) > now  # a clock was stepped


def take_back(unit: UnitOfWork, pids: Iterable[int]) -> None:
    """Have these ask again, behind those whose queue a worker consumes."""
    for pid in pids:
        row = unit.rows.get(pid)
        if row is not None and row.granted and row.ready and row.owner is None:
            row.granted = False
            unit.change(row)
