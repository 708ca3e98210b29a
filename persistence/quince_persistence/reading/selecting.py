"""From a `Selection` to SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from quince_persistence.records import TERMINAL, Selection, State
from quince_persistence.schema.in_list import has_text, one_of, pattern_of
from quince_persistence.schema.tables import EXITED, FAILED, PAUSED, checkpoints, inputs, labels, processes

p = processes

LIVE = tuple(state for state in State if state not in TERMINAL)
ENDED = sorted(state.value for state in TERMINAL)
"""The states of processes that have terminated, as they stand in the table."""

SEARCHED = (p.c.class_path, p.c.key, p.c.step, p.c.status, p.c.exit_message)
"""Where a text is looked for."""

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


def chosen(
    what: Select[Any], selection: Selection, *, by_label: bool = True
) -> tuple[Select[Any], dict[str, Any]]:
    """`what`, for the processes of a selection, newest first; and the parameters.

    Args:
        by_label: Those that have its labels are looked at, rather than those that have what else it asks for.
    """
    if not all(map(keepable, _words(selection))):
        return what.where(false()), {}
    conditions, parameters = _conditions(selection)
    newest = p.c.pid
    for number, (name, value) in enumerate(selection.labels):
        own = labels.alias(f"label_{number}")  # each by its index, which has the newest first, too
        has = [own.c.pid == p.c.pid, own.c.name == bindparam(f"name_{number}")]
        parameters[f"name_{number}"] = name
        if value is not None:
            has.append(own.c.value == bindparam(f"value_{number}"))
            parameters[f"value_{number}"] = value
        if not by_label:
            conditions.append(exists().where(*has))
            continue
        if value is not None:
            newest = own.c.pid
        if selection.before is not None:  # else SQLite reads the processes of all labels
            has.append(own.c.pid < selection.before)
        if selection.above is not None:
            has.append(own.c.pid > selection.above)
        conditions += has
        what = what.select_from(own)
    statement = what.where(*conditions).order_by(newest.desc())
    if selection.limit is not None:
        statement = statement.limit(selection.limit)
    return statement, parameters


def newest(
    what: Select[Any], selection: Selection, *, by_label: bool = True
) -> tuple[Select[Any] | CompoundSelect[Any], dict[str, Any]]:
    """`chosen`, by as few rows as can be: of several states, the newest of each are found by the index of
    states, and then the newest of these."""
    states = selection.states or (LIVE if selection.live else ())
    narrow = (
        selection.pids, selection.trees, selection.labels and by_label, selection.failed, selection.exits,
        selection.paused, selection.parent is not None,
    )  # fmt: skip
    if selection.limit is None or len(states) < 2 or any(narrow):
        return chosen(what, selection, by_label=by_label)
    each = [
        chosen(what, replace(selection, states=[state], live=False), by_label=by_label) for state in states
    ]
    merged = union_all(*(select(statement.subquery()) for statement, _ in each))
    return merged.order_by(literal_column("pid").desc()).limit(selection.limit), each[0][1]


def labelled(selection: Selection, most: int) -> tuple[Select[Any], dict[str, Any]]:
    """How many have one of the labels of a selection; no more than so many are counted."""
    name, value = next((one for one in selection.labels if one[1] is not None), selection.labels[0])
    some, parameters = (
        select(labels.c.pid).where(labels.c.name == bindparam("name")).limit(most),
        {"name": name},
    )
    if value is not None:
        some, parameters["value"] = some.where(labels.c.value == bindparam("value")), value
    return select(func.count()).select_from(some.subquery()), parameters


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
    if selection.text is not None:
        parameters["text"] = pattern_of(selection.text)
    if selection.paused:
        conditions.append(literal_column(PAUSED))
    if selection.roots:
        conditions.append(p.c.parent.is_(None))
    return conditions + _of_ends(selection) + _of_times(selection), parameters


def _of_ends(selection: Selection) -> list[ColumnElement[bool]]:
    """How they ended. What an index is about is said in its words."""
    conditions: list[ColumnElement[bool]] = []
    if selection.failed:
        conditions.append(literal_column(FAILED))
    exits = [status for status in selection.exits if abs(status) < 1 << 31]  # else no process has it
    if selection.exits:
        is_one = p.c.exit_status == exits[0] if len(exits) == 1 else p.c.exit_status.in_(exits)
        conditions.append(is_one)
        if 0 not in exits:
            conditions.append(literal_column(EXITED))
    if selection.text is not None:
        conditions.append(or_(*(has_text(column, "text") for column in SEARCHED)))
    return conditions


def _of_times(selection: Selection) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for column, since, until in (
        (p.c.created, selection.since, selection.until),
        (p.c.ended, selection.ended_since, selection.ended_until),
    ):
        if since is not None:
            conditions.append(column >= since)
        if until is not None:
            conditions.append(column <= until)
    if selection.before is not None:
        conditions.append(p.c.pid < selection.before)
    if selection.above is not None:
        conditions.append(p.c.pid > selection.above)
    return conditions


def _words(selection: Selection) -> Iterator[str]:
    """What is compared with texts of the store."""
    yield from selection.classes
    yield from filter(None, (selection.queue, selection.key, selection.text))
    for name, value in selection.labels:
        yield name
        yield value or ""


def keepable(word: str) -> bool:
    """Whether a store can have such a text."""
    return "\0" not in word and word == word.encode("utf-8", "ignore").decode()


def _class_is(name: str, parameter: str) -> ColumnElement[bool]:
    """The whole class path, or what stands after the colon or the last dot."""
    path = p.c.class_path
    tail = func.substr(path, func.length(path) - len(name))
    return or_(path == bindparam(parameter), tail == f":{name}", tail == f".{name}")
