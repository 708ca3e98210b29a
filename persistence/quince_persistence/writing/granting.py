"""Who is given which limits: settled once in each transaction in which somebody asks or gives back.

A process gets all limits that it asks for, or none: then it stands in the queue of the first one that has no
room for it, and in nobody's way elsewhere. So no process waits at a limit that has room, but for those whose
rows are locked just now: a sweep gets them.

Locks, on PostgreSQL: rows of processes first, as all operations lock them; then rows of `limits` by name.
What is taken after that (those that wait, other limits that they ask for) is passed over if somebody else has
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Select, bindparam, exists, func, select

from quince_persistence.reading.limits import ORDER, StoredLimit
from quince_persistence.reading.worker_rows import live_queues
from quince_persistence.records import Woken
from quince_persistence.records.limits import NewLimit
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import limit_uses, limits, processes
from quince_persistence.writing.changes import Changes

AT_ONCE = 5_000
"""How many a limit without slots is given to in one transaction; a sweep goes on."""
ROUNDS = 5
"""How often one transaction looks for others, if those that came first wait for other limits."""

u = limit_uses
_lock = select(limits).where(one_of(limits.c.name, "names")).order_by(limits.c.name).with_for_update()
_lock_free = _lock.with_for_update(skip_locked=True)
_there = select(limits.c.name).where(one_of(limits.c.name, "names"))
_not_gone = ~one_of(u.c.pid, "gone")
_held = (
    select(u.c.name, func.count())
    .where(one_of(u.c.name, "names"), u.c.held.is_(True), _not_gone)
    .group_by(u.c.name)
)
_used = select(limits.c.name).where(one_of(limits.c.name, "names"), exists().where(u.c.name == limits.c.name))


def _next(*, live: bool) -> Select[Any]:
    on_live = one_of(u.c.queue, "live")
    return (
        live_rows()
        .join(u, u.c.pid == processes.c.pid)
        .where(u.c.name == bindparam("name"), u.c.held.is_(False), on_live if live else ~on_live, _not_gone)
        .order_by(*ORDER)
        .limit(bindparam("most"))
        .with_for_update(of=processes, skip_locked=True)
    )


_next_live, _next_dead = _next(live=True), _next(live=False)


class Unit(Protocol):
    """What of the unit of work is used here."""

    connection: Connection
    now: float
    rows: dict[int, MutableRow]
    changes: Changes

    def change(self, row: MutableRow) -> None:
        """The row has been changed."""


@dataclass(slots=True)
class _Limit:
    """A limit under its lock.

    Attributes:
        tokens: How many its rate lets begin now; None: it has none.
        changed: It has been written to.
    """

    slots: int | None
    tokens: float | None = None
    held: int = 0
    changed: bool = False

    @property
    def room(self) -> int:
        """How many more may have it."""
        free = AT_ONCE if self.slots is None else max(0, self.slots - self.held)
        return free if self.tokens is None else min(free, int(self.tokens + 1e-6))

    def give(self) -> None:
        self.held += 1
        if self.tokens is not None:
            self.tokens -= 1
            self.changed = True


class Grants:
    """Who asks for limits, and who is given some, in one transaction.

    Attributes:
        rated: Somebody waits for a limit that has a rate, as a sweep has seen.
    """

    def __init__(self, unit: Unit) -> None:
        self.rated = False
        self._unit = unit
        self._noted: dict[int, MutableRow] = {}
        self._names: set[str] = set()
        self._over: set[str] = set()
        self._limits: dict[str, _Limit | None] = {}  # None: there is no such limit
        self._elsewhere: set[str] = set()  # somebody else has their locks
        self._seen: set[int] = set()
        self._live: Collection[str] | None = None
        self._woken: list[Woken] = []

    def note(self, row: MutableRow) -> None:
        """A process that asks for limits has been changed: those that it is not to have, it gives back."""
        if row.granted and not row.wants_limits:
            row.granted = False
        self._noted[row.pid] = row

    def add(self, new: NewLimit, owner: int) -> None:
        """A limit for the children of a process."""
        self._limits[new.name] = _Limit(new.slots)
        self._unit.changes.limits.append({"name": new.name, "slots": new.slots, "owner": owner})

    def look_at(self, names: Iterable[str], *, over: bool = False) -> None:
        """These may have room.

        Args:
            over: They are to go, if nobody needs them any more.
        """
        names = set(names)
        self._names |= names
        if over:
            self._over |= names

    def take(self) -> Sequence[Woken]:
        """Those that have become ready, to be told to whoever asks first."""
        woken, self._woken = self._woken, []
        return woken

    def settle(self) -> None:
        """Write down who asks, and give what there is, after all operations of the transaction."""
        asking = self._asking()
        if not self._names:
            return
        self._know(self._names - self._limits.keys(), _lock)
        for _ in range(ROUNDS):
            found = [*asking, *self._waiting()]
            if not found:
                break
            self._know_others({name for row in found for name in row.limits})
            for row in sorted(found, key=self._place_of):
                self._place(row)
            asking = []
        self._write()

    def _asking(self) -> list[MutableRow]:
        """Those that want limits and stand nowhere yet, or elsewhere; forget where they stood."""
        asking = []
        for row in self._noted.values():
            if row.granted or row.asking == row.asked:
                continue
            self._seen.add(row.pid)
            if not row.fresh:
                self._unit.changes.uses_dropped.add(row.pid)
            if not row.fresh or row.wants_limits:
                self._names.update(row.limits)
            if row.wants_limits:
                asking.append(row)
        return asking

    def _know(self, names: Collection[str], lock: Select[Any]) -> None:
        """Lock limits, and learn how much room they have."""
        if not names:
            return
        connection, now = self._unit.connection, self._unit.now
        rows = connection.execute(lock, {"names": sorted(names)}).all()
        found = [StoredLimit.of(row) for row in rows]
        slotted = [limit.name for limit in found if limit.slots is not None]
        gone = sorted(self._unit.changes.uses_dropped)
        held = {}
        if slotted:
            held = dict(map(tuple, connection.execute(_held, {"names": slotted, "gone": gone})))
        self._limits.update(dict.fromkeys(names))
        for row in found:
            limit = self._limits[row.name] = _Limit(row.slots, row.lets_begin(now), held.get(row.name, 0))
            limit.changed = limit.tokens is not None and (row.stamp or 0.0) > now  # a clock was stepped

    def _know_others(self, names: Collection[str]) -> None:
        """Limits that those ask for which were found, and that nobody of this transaction has to do with."""
        unknown = names - self._limits.keys() - self._elsewhere
        if unknown:
            there = {row[0] for row in self._unit.connection.execute(_there, {"names": sorted(unknown)})}
            self._limits.update(dict.fromkeys(unknown - there))
            self._know(there, _lock_free)
            locked = {name for name in there if self._limits[name] is not None}
            self._elsewhere |= there - locked
            for name in there - locked:
                del self._limits[name]

    def _waiting(self) -> list[MutableRow]:
        """The next ones at limits that have room."""
        found: dict[int, MutableRow] = {}
        for name in sorted(self._names):
            limit = self._limits.get(name)
            most = 0 if limit is None else limit.room
            for statement in (_next_live, _next_dead) if self._live_queues() else (_next_dead,):
                if most > 0:
                    rows = self._fetch(statement, name, most)
                    most -= len(rows)
                    found.update((row.pid, row) for row in rows)
        return list(found.values())

    def _fetch(self, statement: Select[Any], name: str, most: int) -> list[MutableRow]:
        given = {"name": name, "most": most, "live": list(self._live_queues()), "gone": sorted(self._seen)}
        rows = self._unit.connection.execute(statement, given).all()
        there = [self._unit.rows.setdefault(row[0], MutableRow(*row)) for row in rows]
        self._seen.update(row.pid for row in there)
        return [row for row in there if row.wants_limits and not row.granted]

    def _live_queues(self) -> Collection[str]:
        """The queues of registered workers."""
        if self._live is None:
            self._live = live_queues(self._unit.connection)
        return self._live

    def _place_of(self, row: MutableRow) -> tuple[bool, int, int]:
        return row.queue not in self._live_queues(), -row.priority, row.pid

    def _place(self, row: MutableRow) -> None:
        """Give it all limits that it asks for, or have it stand at the first that has no room."""
        if not self._elsewhere.isdisjoint(row.limits):
            return
        known = {name: limit for name in row.limits if (limit := self._limits[name]) is not None}
        full = next((name for name, limit in known.items() if not limit.room), None)
        changes = self._unit.changes
        if not row.fresh:
            changes.uses_dropped.add(row.pid)
        if full is not None:
            self._use(row, full, held=False)
            return
        for limit in known.values():
            limit.give()
        for name in row.limits:
            self._use(row, name, held=True)
        row.granted = True
        self._unit.change(row)
        if row.ready:
            self._woken.append(Woken(row.pid, row.owner, row.queue, row.priority))

    def _use(self, row: MutableRow, name: str, *, held: bool) -> None:
        self._unit.changes.uses.append(
            {"name": name, "pid": row.pid, "held": held, "priority": row.priority, "queue": row.queue}
        )

    def _write(self) -> None:
        changes, now = self._unit.changes, self._unit.now
        changes.tokens += [
            {"at": name, "tokens": limit.tokens, "stamp": now}
            for name, limit in self._limits.items()
            if limit is not None and limit.changed
        ]
        over = [name for name in self._over if self._limits.get(name) is not None]
        if over:
            used = {row[0] for row in self._unit.connection.execute(_used, {"names": over})}
            changes.limits_dropped += [name for name in over if name not in used]
