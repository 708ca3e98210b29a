"""From a `Selection` to SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from quince_persistence.records import TERMINAL, Selection
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import checkpoints, inputs, processes

p = processes

ENDED = sorted(state.value for state in TERMINAL)
"""The states of processes that have terminated, as they stand in the table."""

IDLE = (
    select(p.c.pid, p.c.owner, p.c.queue, p.c.priority)
    .where(p.c.idle_since > 0, p.c.idle_since < bindparam("before"))
    .order_by(p.c.idle_since)
)
"""What `Woken` takes, of processes that have been ready and unowned since `before`, the longest first.
The `> 0` lets SQLite use the index, which has no nulls."""

family = select(p.c.pid).where(one_of(p.c.pid, "tops")).cte("family", recursive=True)
family = family.union(select(p.c.pid).join(family, p.c.parent == family.c.pid))
"""The pids bound to `tops` and all their descendants."""

BLOBS = union_all(
    *(
        select(table.c.pid, literal_column(str(number)), table.c.blob).where(one_of(table.c.pid, "pids"))
        for number, table in enumerate((inputs, checkpoints))
    )
)
"""Inputs (0) and checkpoints (1), each in a row of its own: both together may be more than PostgreSQL puts
into one."""


def chosen(what: Select[Any], selection: Selection) -> tuple[Select[Any], dict[str, Any]]:
    """`what`, for the processes of a selection, newest first; and the parameters."""
    conditions, parameters = _conditions(selection)
    statement = what.where(*conditions).order_by(p.c.pid.desc())
    if selection.limit is not None:
        statement = statement.limit(selection.limit)
    return statement, parameters


def matching_pids(connection: Connection, selection: Selection) -> list[int]:
    """The pids of a selection, newest first, without locks."""
    statement, parameters = chosen(select(p.c.pid), selection)
    return [row[0] for row in connection.execute(statement, parameters).all()]


def _conditions(selection: Selection) -> tuple[list[ColumnElement[bool]], dict[str, Any]]:
    conditions: list[ColumnElement[bool]] = []
    parameters: dict[str, Any] = {}
    if selection.pids:
        conditions.append(one_of(p.c.pid, "pids"))
        parameters["pids"] = list(selection.pids)
    if selection.trees:
        conditions.append(p.c.pid.in_(select(family.c.pid)))
        parameters["tops"] = list(selection.trees)
    if selection.states:
        conditions.append(p.c.state.in_([state.value for state in selection.states]))
    if selection.live:
        conditions.append(p.c.state.not_in(ENDED))
    if selection.classes:
        conditions.append(or_(*(_class_is(name, f"class_{n}") for n, name in enumerate(selection.classes))))
        parameters.update({f"class_{n}": name for n, name in enumerate(selection.classes)})
    for column, wanted in (
        (p.c.parent, selection.parent),
        (p.c.queue, selection.queue),
        (p.c.key, selection.key),
        (p.c.paused, selection.paused),
    ):
        if wanted is not None:
            conditions.append(column == wanted)
    if selection.since is not None:
        conditions.append(p.c.created >= selection.since)
    if selection.until is not None:
        conditions.append(p.c.created <= selection.until)
    if selection.before is not None:
        conditions.append(p.c.pid < selection.before)
    return conditions, parameters


def _class_is(name: str, parameter: str) -> ColumnElement[bool]:
    """The whole class path, or what stands after the colon or the last dot."""
    path = p.c.class_path
    tail = func.substr(path, func.length(path) - len(name))
    return or_(path == bindparam(parameter), tail == f":{name}", tail == f".{name}")
