"""Going on from where a process has stopped: who of those that it waited for has to go on too, and what it
waits for again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, exists, or_, select

from quince_persistence.records import State
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.kept import read_pids, read_wait
from quince_persistence.schema.mutable_row import WAIT_ANY, WAIT_DUE, MutableRow
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.schema.tables import checkpoints as c
from quince_persistence.schema.tables import events
from quince_persistence.schema.tables import processes as p
from quince_persistence.writing.lifecycle import ended_well, enter, wait_no_more
from quince_persistence.writing.unit_of_work import UnitOfWork

_standing = (
    select(p.c.pid, p.c.parent, p.c.state, p.c.exit_status, p.c.ended, c.c.awaits, c.c.wait, c.c.replaced)
    .select_from(p.outerjoin(c, c.c.pid == p.c.pid))
    .where(one_of(p.c.pid, "pids"))
)

_child = p.alias("child")
_of_child, _of_parent = events.alias("of_child"), events.alias("of_parent")
_same_kill = exists().where(
    _of_child.c.pid == _child.c.pid,
    _of_parent.c.pid == p.c.pid,
    _of_child.c.at == _of_parent.c.at,
    *(one.c.body.startswith('{"verb":"kill"') for one in (_of_child, _of_parent)),
    *(one.c.kind == "control" for one in (_of_child, _of_parent)),
)
_killed_with = (
    select(_child.c.pid)
    .join(p, p.c.pid == _child.c.parent)
    .where(
        one_of(_child.c.parent, "pids"),
        _child.c.state == State.KILLED.value,
        or_(_child.c.ended == p.c.ended, _same_kill),
    )
)


class Standing(NamedTuple):
    """How a process has ended, or stands, and what its last checkpoint waits for."""

    pid: int
    parent: int | None
    state: str
    exit_status: int | None
    ended: float | None
    awaits: str | None
    wait: str | None
    replaced: str | None

    @property
    def failed(self) -> bool:
        """It has ended, and not well."""
        return self.ended is not None and not ended_well(self.state, self.exit_status)


def standings(connection: Connection, pids: Iterable[int]) -> list[Standing]:
    """How these stand; those that do not exist are left out."""
    return [Standing(*row) for row in connection.execute(_standing, {"pids": sorted(set(pids))})]


def failed_below(unit: UnitOfWork, tops: Sequence[int], *, locked: bool) -> dict[int, Standing]:
    """These processes; of those that failed, all that they have waited for, and the children that were killed
    with them; and so on downwards.

    Args:
        locked: Lock each before it is read, with its parent: what is found then holds.
    """
    found: dict[int, Standing] = {}
    todo = list(tops)
    while todo:
        if locked:
            unit.lock(todo)
        read = standings(unit.connection, todo)
        if locked:
            unit.lock([one.parent for one in read if one.parent is not None])
        found.update((one.pid, one) for one in read)
        below = [pid for one in read if one.failed for pid in read_pids(one.awaits)]
        if killed := [one.pid for one in read if one.state == State.KILLED]:
            below += unit.connection.execute(_killed_with, {"pids": killed}).scalars()
        todo = [pid for pid in dict.fromkeys(below) if pid not in found]
    return found


def wait_again(unit: UnitOfWork, row: MutableRow, awaits: str | None, wait: str | None, author: str) -> None:
    """Have a process stand as after the commit of a checkpoint: it waits for what has not come by now."""
    there, how = {pid for pid in read_pids(awaits) if pid in unit.rows}, read_wait(wait)
    live = [pid for pid in sorted(there) if not unit.rows[pid].terminated]
    if live:
        unit.wait_for(row, live)
    late = how.due is not None and how.due <= unit.now
    signals = SignalState.read(row.signals)
    signals.wait(() if late and how.deadline else how.signals, deadline=how.deadline)
    row.signals, row.awaiting = signals.text(), len(live) + len(signals.missing)
    row.due = None if late or (how.deadline and not signals.missing) else how.due
    if row.due is not None and not (how.deadline or how.wait_due):
        row.awaiting += 1
    if how.wait_any or how.wait_due:
        come = row.awaiting < len(there) + len(how.signals)
        if not row.awaiting or (how.wait_any and come) or (how.wait_due and late):
            wait_no_more(unit, row)
        else:
            row.wait_mode = " ".join([WAIT_ANY] * how.wait_any + [WAIT_DUE] * how.wait_due)
    began = State.RUNNING if row.epoch else State.CREATED
    state = State.WAITING if row.awaiting else began
    if row.fresh:
        row.state = state.value
    else:
        enter(unit, row, state, author)
    unit.change(row)
