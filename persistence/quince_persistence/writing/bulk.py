"""Many equal changes as one statement: a control of a hundred thousand processes writes the same to each.

Few changes, or different ones, go through `executemany`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from quince_persistence.databases.pipeline import execute_for_each, execute_many
from quince_persistence.schema.in_list import each_of, one_of
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import events, processes

_AT = {"at": "pid"}
BULK_ROWS = 100
"""How many rows must be changed alike before they share a statement."""


def update_rows(connection: Connection, rows: Sequence[MutableRow], names: tuple[str, ...]) -> None:
    """Write these columns of each row."""
    if len(rows) < BULK_ROWS:
        _one_by_one(connection, rows, names)
        return
    alike: dict[tuple[Any, ...], list[MutableRow]] = defaultdict(list)
    values_of = attrgetter(*names)
    for row in rows:
        alike[values_of(row)].append(row)
    rest: list[MutableRow] = []
    for values, group in alike.items():
        if len(group) < BULK_ROWS:
            rest += group
        else:
            parameters = dict(zip(names, values, strict=True)) | {"pids": [row.pid for row in group]}
            connection.execute(_update(names, together=True), parameters)
    _one_by_one(connection, rest, names)


def _one_by_one(connection: Connection, rows: Sequence[MutableRow], names: tuple[str, ...]) -> None:
    if rows:
        execute_for_each(
            connection, _update(names, together=False), rows, {name: name for name in names} | _AT
        )


def insert_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write lines of history. Those of one process keep their order."""
    if len(rows) < BULK_ROWS:
        execute_many(connection, _insert, rows)
        return
    for (at, kind, body, author), pids in _runs(rows):
        line = {"at": at, "kind": kind, "body": body, "author": author}
        if len(pids) < BULK_ROWS:
            execute_many(connection, _insert, [{"pid": pid} | line for pid in pids])
        else:
            connection.execute(_same_event, {"pids": pids} | line)


def _runs(rows: Sequence[dict[str, Any]]) -> list[tuple[tuple[Any, ...], list[int]]]:
    """The lines that differ in nothing but the process, gathered; a process's later line never comes
    before its earlier one."""
    runs: list[tuple[tuple[Any, ...], list[int]]] = []
    newest: dict[tuple[Any, ...], int] = {}
    last: dict[int, int] = {}
    for row in rows:
        pid, line = row["pid"], (row["at"], row["kind"], row["body"], row["author"])
        number = newest.get(line, -1)
        if number < last.get(pid, 0):
            number = newest[line] = len(runs)
            runs.append((line, []))
        runs[number][1].append(pid)
        last[pid] = number
    return runs


@cache
def _update(names: tuple[str, ...], *, together: bool) -> Update:
    chosen = one_of(processes.c.pid, "pids") if together else processes.c.pid == bindparam("at")
    return update(processes).where(chosen).values({name: bindparam(name) for name in names})


_insert = events.insert().inline()  # the number of a line is not needed
_line = ("at", "kind", "body", "author")
_same_event = insert(events).from_select(
    ["pid", *_line],
    select(each_of("pids").c.value, *(bindparam(name, type_=events.c[name].type) for name in _line)),
)
