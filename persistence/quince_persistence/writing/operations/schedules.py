"""Schedules: added, changed, removed.

Whoever writes to a schedule locks its row first and rows of processes after it; nobody who has locked
processes asks for a schedule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, update

from quince_persistence.errors import ScheduleTaken, ScheduleUnreadable, UnknownSchedule
from quince_persistence.reading.schedule_rows import NAMED, schedule_row
from quince_persistence.records.schedules import (
    LINES_KEPT,
    Schedule,
    ScheduleLine,
    ScheduleRow,
    ScheduleState,
)
from quince_persistence.schema.tables import schedules
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import UnitOfWork

_lock = NAMED.with_for_update()
_FIELDS = ("body", "paused", "state", "queued", "next_at", "last_at", "planned", "last_pid")
_by_name = schedules.c.name == bindparam("of")
_write = update(schedules).where(_by_name).values({name: bindparam(name) for name in _FIELDS})
_write_inputs = update(schedules).where(_by_name).values(inputs=bindparam("inputs"))
_remove = delete(schedules).where(_by_name)


def locked(unit: UnitOfWork, name: str) -> ScheduleRow | None:
    """The schedule as it is, and will be until the end of the transaction.

    Raises:
        ScheduleUnreadable: its row is damaged.
    """
    found = unit.connection.execute(_lock, {"name": name}).first()
    return None if found is None else schedule_row(found)


def write(unit: UnitOfWork, row: ScheduleRow) -> None:
    """Write what has become of a schedule that is locked."""
    unit.connection.execute(_write, {"of": row.name, **_values(row)})


def with_line(state: ScheduleState, *lines: ScheduleLine) -> ScheduleState:
    """The same, with more history."""
    return msgspec.structs.replace(state, lines=(*state.lines, *lines)[-LINES_KEPT:])


def _values(row: ScheduleRow) -> dict[str, Any]:
    return {
        "body": msgspec.json.encode(row.schedule).decode(),
        "paused": row.paused,
        "state": msgspec.json.encode(row.state).decode(),
        "queued": len(row.state.queued),
        "next_at": row.next_at,
        "last_at": row.last_at,
        "planned": row.planned,
        "last_pid": row.last_pid,
    }


class PutSchedule(Operation[ScheduleRow]):
    """Add a schedule, or put another one in the place of that of the same name, with its history."""

    alone = True

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        inputs: bytes,
        moment: float | None,
        next_at: float | None,
        planned: float | None,
        *,
        replaces: bool,
        author: str,
    ) -> None:
        super().__init__(len(inputs))
        self._name, self._schedule, self._inputs = name, schedule, bytes(inputs)
        self._moment, self._next_at, self._planned = moment, next_at, planned
        self._replaces, self._author = replaces, author

    def apply(self, unit: UnitOfWork) -> ScheduleRow:
        try:
            before = locked(unit, self._name)
        except ScheduleUnreadable:
            if not self._replaces:
                raise
            unit.connection.execute(_remove, {"of": self._name})
            before = None
        if before is not None and not self._replaces:
            raise ScheduleTaken(self._name)
        planned = unit.now if self._planned is None else self._planned
        line = ScheduleLine(unit.now, "added" if before is None else "replaced", author=self._author)
        if before is None:
            row = ScheduleRow(
                self._name, self._schedule, False, self._next_at, None, planned, None, unit.now,
                ScheduleState(),
            )  # fmt: skip
        else:
            row = replace(
                before, schedule=self._schedule, next_at=self._next_at, last_at=None, planned=planned
            )
        if row.paused:
            row = replace(row, next_at=None)
        state = msgspec.structs.replace(with_line(row.state, line), moment=self._moment)
        row = replace(row, state=state)
        if before is None:
            values = {"name": row.name, "created": row.created, "inputs": self._inputs, **_values(row)}
            unit.connection.execute(schedules.insert(), values)
        else:
            write(unit, row)
            unit.connection.execute(_write_inputs, {"of": row.name, "inputs": self._inputs})
        return row


class HoldSchedule(Operation[ScheduleRow]):
    """Pause a schedule, or let it go on, from its next moment on."""

    alone = True

    def __init__(
        self,
        name: str,
        moment: float | None,
        next_at: float | None,
        planned: float | None,
        *,
        paused: bool,
        author: str,
    ) -> None:
        super().__init__()
        self._name, self._paused, self._author = name, paused, author
        self._moment, self._next_at, self._planned = moment, next_at, planned

    def apply(self, unit: UnitOfWork) -> ScheduleRow:
        row = locked(unit, self._name)
        if row is None:
            raise UnknownSchedule(self._name)
        if row.paused == self._paused:
            return row
        line = ScheduleLine(unit.now, "paused" if self._paused else "played", author=self._author)
        state = msgspec.structs.replace(with_line(row.state, line), moment=self._moment)
        planned = unit.now if self._planned is None else self._planned
        row = replace(
            row, paused=self._paused, next_at=self._next_at, last_at=None, planned=planned, state=state
        )
        write(unit, row)
        return row


class RemoveSchedule(Operation[None]):
    """Remove a schedule. What it has made goes on; what waited for its turn is not made."""

    alone = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def apply(self, unit: UnitOfWork) -> None:
        if unit.connection.execute(_remove, {"of": self._name}).rowcount == 0:
            raise UnknownSchedule(self._name)
