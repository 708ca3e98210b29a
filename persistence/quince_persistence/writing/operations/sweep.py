"""Timers and sweeps: what wakes a process when no message does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
from sqlalchemy import and_, bindparam, exists, select

from quince_persistence.reading.selecting import IDLE
from quince_persistence.reading.worker_rows import worker_row
from quince_persistence.records import Control, State, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.workers import Sweep, WorkerRow
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.schema.tables import processes, workers
from quince_persistence.writing.contents import drop_unused
from quince_persistence.writing.lifecycle import as_woken, count_down, kill_family
from quince_persistence.writing.operations.base import ClaimedOperation, Operation
from quince_persistence.writing.operations.limits import find_limits, take_back
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_AUTHOR = "quince"
AT_ONCE = 5_000
"""How many rows one sweep returns or wakes at most; the next one goes on."""

p = processes
_due = select(p.c.pid).where(p.c.due <= bindparam("now")).order_by(p.c.due).limit(AT_ONCE)
_over = select(p.c.pid).where(p.c.deadline <= bindparam("now")).order_by(p.c.deadline).limit(AT_ONCE)
_idle = IDLE.limit(AT_ONCE)
_silent = select(workers).where(workers.c.heartbeat < bindparam("before"))
_orphans = (
    select(p.c.owner)
    .where(
        and_(p.c.owner.is_not(None), p.c.updated < bindparam("before")),
        ~exists().where(workers.c.id == p.c.owner),
    )
    .distinct()
)


class Wake(ClaimedOperation[Sequence[Woken]]):
    """The owner says that a timer fired."""

    fenced: Sequence[Woken] = []

    def change(self, unit: UnitOfWork, row: MutableRow) -> Sequence[Woken]:
        return fire_timer(unit, row)

    def answer(self, unit: UnitOfWork, outcome: Sequence[Woken]) -> Sequence[Woken]:
        return [*outcome, *unit.grants.take()]


@dataclass(slots=True)
class PartsSwept:
    """Where the last sweep has stopped to look for large parts of values that nobody uses."""

    last: str = ""


class DropUnused(Operation[None]):
    """Drop all large parts of values that nobody uses."""

    alone = True

    def apply(self, unit: UnitOfWork) -> None:
        last = drop_unused(unit.connection, "")
        while last:
            last = drop_unused(unit.connection, last)


class SweepProcesses(Operation[Sweep]):
    """Fire the timers that are due, and end what has lived too long; find idle processes, and workers that
    may be dead."""

    alone = True

    def __init__(self, expiry: float, stale: float, parts: PartsSwept) -> None:
        super().__init__()
        self._expiry, self._stale, self._parts = expiry, stale, parts
        self._due: list[int] = []
        self._over: list[int] = []
        self._stranded: list[int] = []

    def find(self, unit: UnitOfWork) -> None:
        self._stranded = find_limits(unit)
        self._due = [row[0] for row in unit.connection.execute(_due, {"now": unit.now})]
        self._over = [row[0] for row in unit.connection.execute(_over, {"now": unit.now})]

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._due, self._over, self._stranded)
        needs.families.update(self._over)

    def apply(self, unit: UnitOfWork) -> Sweep:
        connection, silent_since = unit.connection, {"before": unit.now - self._expiry}
        idle = connection.execute(_idle, {"before": unit.now - self._stale})
        enqueue = [Woken(*row) for row in idle]
        dead = [worker_row(row) for row in connection.execute(_silent, silent_since)]
        dead += [_orphaned(row[0]) for row in connection.execute(_orphans, silent_since)]
        killed = [one for pid in self._over for one in end_overdue(unit, unit.rows[pid])]
        fired = [
            one
            for pid in self._due
            if (row := unit.rows[pid]).due is not None and row.due <= unit.now
            for one in fire_timer(unit, row)
        ]
        take_back(unit, self._stranded)
        return Sweep(enqueue=enqueue, due=fired, dead=dead, killed=killed, rated=unit.grants.rated)

    def answer(self, unit: UnitOfWork, outcome: Sweep) -> Sweep:
        granted = unit.grants.take()
        self._parts.last = drop_unused(unit.connection, self._parts.last)  # with the last locks of all
        return replace(outcome, due=[*outcome.due, *granted]) if granted else outcome


def end_overdue(unit: UnitOfWork, row: MutableRow) -> list[ControlOutcome]:
    """Kill the process with its tree, if its deadline is over."""
    if row.deadline is None or row.deadline > unit.now:
        return []
    moment = datetime.fromtimestamp(row.deadline, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    row.deadline = None
    unit.change(row)
    if row.intent == Control.KILL:
        return []
    own = f"its deadline ({moment}) is over"
    theirs = f"the deadline of process {row.pid} ({moment}) is over"
    killed = kill_family(unit, [row], author=_AUTHOR, reason=theirs, others={row.pid: own})
    for one in killed:
        body = {"verb": Control.KILL.value, "reason": own if one.pid == row.pid else theirs}
        unit.log(one.pid, "control", msgspec.json.encode(body), _AUTHOR)
    return killed


def fire_timer(unit: UnitOfWork, row: MutableRow) -> list[Woken]:
    """Count the timer down, if it is still set; or all signals whose deadline it is; or all."""
    if row.state != State.WAITING or row.due is None:
        return []
    row.due = None
    if row.wait_mode is not None:
        return [as_woken(row)] if count_down(unit, row, row.awaiting) else []
    state = SignalState.read(row.signals)
    over = len(state.missing) if state.deadline else 1
    if state.deadline:
        state.wait_no_more()
        row.signals = state.text()
    return [as_woken(row)] if count_down(unit, row, over) else []


def _orphaned(owner: str) -> WorkerRow:
    """A worker that owns processes but has no row: it was declared dead and claimed all the same."""
    host, _, rest = owner.partition(":")
    ospid = rest.partition(":")[0]
    return WorkerRow(
        id=owner,
        host=host,
        ospid=int(ospid) if ospid.isdigit() else 0,
        name=owner,
        queues=(),
        slots=0,
        lock=None,
        state="lost",
        started=0.0,
        heartbeat=0.0,
    )
