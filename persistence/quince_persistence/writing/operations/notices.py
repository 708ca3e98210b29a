"""Notices: who wants them, taking them to send them, and what became of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, update

from quince_persistence.records.notices import Happening, NoticeRow, Sent
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import notices, receivers
from quince_persistence.schema.upsert import or_replacing
from quince_persistence.writing.happenings import Happened
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import UnitOfWork

FORGOTTEN_SECONDS = 86_400.0
"""A receiver that no worker has named for so long is told no more."""

n, r = notices, receivers

_want = or_replacing(receivers, "seen")
_of_others = delete(r).where(
    or_(
        and_(r.c.name == bindparam("at"), ~one_of(r.c.event, "events")),
        r.c.seen < bindparam("before"),
    )
)
_old = delete(n).where(
    or_(
        n.c.at < bindparam("before"),
        ~exists().where(r.c.name == n.c.receiver),
    )
)
_crowded = select(n.c.receiver).group_by(n.c.receiver).having(func.count() > bindparam("most"))
_newest = select(n.c.at).where(n.c.receiver == bindparam("of")).order_by(n.c.at.desc(), n.c.id.desc())
_too_many = delete(n).where(n.c.receiver == bindparam("of"), n.c.at < bindparam("before"))
_taken = (
    select(n)
    .where(n.c.receiver == bindparam("of"), n.c.due <= bindparam("now"))
    .order_by(n.c.at, n.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_take = (
    update(n)
    .where(n.c.id == bindparam("at_id"), n.c.receiver == bindparam("of"))
    .values(owner=bindparam("by"), due=bindparam("until"), tries=n.c.tries + 1)
)
_mine = and_(n.c.id == bindparam("at_id"), n.c.receiver == bindparam("of"), n.c.owner == bindparam("by"))
_drop = delete(n).where(_mine)
_failed = update(n).where(_mine).values(due=bindparam("until"), error=bindparam("why"))


class WantNotices(Operation[None]):
    """Who is told of what; and what nobody will ever send goes."""

    alone = True

    def __init__(self, wanted: Mapping[str, Collection[Happening]], keep: float, most: int) -> None:
        super().__init__()
        self._wanted = {name: sorted(event.value for event in events) for name, events in wanted.items()}
        self._keep, self._most = keep, most

    def apply(self, unit: UnitOfWork) -> None:
        connection, old = unit.connection, unit.now - FORGOTTEN_SECONDS
        rows = [
            {"name": name, "event": event, "seen": unit.now}
            for name, events in sorted(self._wanted.items())
            for event in events
        ]
        if rows:
            connection.execute(_want[connection.dialect.name], rows)
        for name, events in sorted(self._wanted.items()) or [("", [])]:
            connection.execute(_of_others, {"at": name, "events": events, "before": old})
        connection.execute(_old, {"before": unit.now - self._keep})
        for (receiver,) in connection.execute(_crowded, {"most": self._most}).all():
            newest = connection.execute(_newest.limit(1).offset(self._most - 1), {"of": receiver}).scalar()
            connection.execute(_too_many, {"of": receiver, "before": newest})


class AddNotice(Operation[None]):
    """Something has happened that no row of a process tells."""

    def __init__(self, name: str, event: Happening, body: Mapping[str, Any]) -> None:
        super().__init__()
        self._happened = Happened(name, event, dict(body))

    def apply(self, unit: UnitOfWork) -> None:
        unit.happenings.add(self._happened)


class TakeNotices(Operation[Sequence[NoticeRow]]):
    """Those that are due, for one who sends them."""

    alone = True

    def __init__(self, of: Collection[str], owner: str, most: int, hold: float) -> None:
        super().__init__()
        self._of, self._owner, self._most, self._hold = sorted(of), owner, most, hold

    def apply(self, unit: UnitOfWork) -> list[NoticeRow]:
        rows = [
            row
            for name in self._of
            for row in unit.connection.execute(_taken, {"of": name, "now": unit.now, "most": self._most})
        ]
        until = unit.now + self._hold
        taken = [{"at_id": row.id, "of": row.receiver, "by": self._owner, "until": until} for row in rows]
        if taken:
            unit.connection.execute(_take, taken)
        return [_notice(row, until) for row in rows]


def _notice(row: Any, due: float) -> NoticeRow:
    body = msgspec.json.decode(row.body)
    return NoticeRow(row.id, row.receiver, Happening(row.event), row.at, body, row.tries + 1, due, row.error)


class SettleNotices(Operation[None]):
    """What became of those that somebody has taken. Prompt: the thread that sends waits for it."""

    alone = True
    prompt = True

    def __init__(self, sent: Sequence[Sent], owner: str) -> None:
        super().__init__()
        self._sent, self._owner = sent, owner

    def apply(self, unit: UnitOfWork) -> None:
        rows: dict[bool, list[dict[str, Any]]] = defaultdict(list)
        for one in self._sent:
            at = {"at_id": one.id, "of": one.receiver, "by": self._owner}
            more = {} if one.error is None else {"until": unit.now + one.again, "why": one.error}
            rows[one.error is None].append(at | more)
        for well, statement in ((True, _drop), (False, _failed)):
            if rows[well]:
                unit.connection.execute(statement, rows[well])
