"""Schedules, read: from rows of the table to `ScheduleRow`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, or_, select

from quince_persistence.errors import ScheduleUnreadable
from quince_persistence.records.schedules import DamagedSchedule, Schedule, ScheduleRow, ScheduleState
from quince_persistence.schema.tables import schedules

s = schedules

SCHEDULES = select(
    s.c.name, s.c.body, s.c.paused, s.c.next_at, s.c.last_at, s.c.planned, s.c.last_pid, s.c.created,
    s.c.state,
)  # fmt: skip
"""What `schedule_row` takes."""
EACH = SCHEDULES.order_by(s.c.name)
NAMED = SCHEDULES.where(s.c.name == bindparam("name"))
SCHEDULE_INPUTS = select(s.c.inputs).where(s.c.name == bindparam("name"))
DUE = SCHEDULES.where(
    s.c.paused.is_(False),
    or_(
        s.c.next_at <= bindparam("now"),
        s.c.queued > 0,
        and_(s.c.planned > bindparam("now"), s.c.next_at.is_not(None)),
    ),
).order_by(s.c.next_at, s.c.name)
"""Those with a firing that is due, with some that wait for their turn, or whose next firing was found out at
a time that has not come (the clock was set back)."""

_body = msgspec.json.Decoder(Schedule).decode
_state = msgspec.json.Decoder(ScheduleState).decode


def schedule_row(row: Any) -> ScheduleRow:
    """Columns in the order of `SCHEDULES`.

    Raises:
        ScheduleUnreadable: something else stands in them.
    """
    name, body, paused, next_at, last_at, planned, last_pid, created, state = row
    try:
        next_at, last_at, planned, last_pid, created = _numbers(
            (next_at, last_at, planned, last_pid, created)
        )
        body, state = _body(body), _state(state)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise ScheduleUnreadable(str(name), " ".join(str(error).split())) from error
    return ScheduleRow(str(name), body, bool(paused), next_at, last_at, planned, last_pid, created, state)


def readable(rows: Iterable[Any]) -> Iterator[ScheduleRow]:
    """Those that can be read."""
    for row in rows:
        with contextlib.suppress(ScheduleUnreadable):
            yield schedule_row(row)


def damaged(rows: Iterable[Any]) -> Iterator[DamagedSchedule]:
    """The others."""
    for row in rows:
        try:
            schedule_row(row)
        except ScheduleUnreadable as error:
            yield DamagedSchedule(error.name, error.reason)


def _numbers(columns: tuple[Any, ...]) -> tuple[float | None, float | None, float, int | None, float]:
    return msgspec.convert(columns, tuple[float | None, float | None, float, int | None, float])
