"""Deleting processes: every row that any table has of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Delete, bindparam, case, delete, update

from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.tables import (
    PRUNED,
    counters,
    limits,
    metadata,
    refers,
)
from quince_persistence.schema.upsert import Upsert

OF_PROCESSES = [table for table in metadata.sorted_tables if "pid" in table.c]
"""Tables that have rows of a process, by its pid; whatever is added to them goes with it."""

_deletions: list[Delete] = [delete(table).where(one_of(table.c.pid, "pids")) for table in OF_PROCESSES]
_deletions += [delete(limits).where(one_of(limits.c.owner, "pids"))]
_deletions += [delete(refers).where(one_of(refers.c.target, "pids"))]
# A pid is never used again, also where programs that outlived the restoring of a backup have used some of
# which its counter does not know.
_raise_last = (
    update(counters)
    .where(counters.c.name == "pid", counters.c.value < bindparam("last"))
    .values(value=bindparam("last"))
)


def _mark(insert: Any) -> Any:
    statement = insert(counters).values(name=PRUNED, value=bindparam("last"))
    last, given = counters.c.value, statement.excluded.value
    return statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": case((last > given, last), else_=given)}
    )


_marks = Upsert(_mark)


def delete_processes(connection: Connection, pids: Sequence[int]) -> None:
    """Delete all rows of these. Parts of values that nobody else uses go with a sweep. Reads nothing."""
    for deletion in _deletions:
        connection.execute(deletion, {"pids": pids})
    last = {"last": max(pids)}
    connection.execute(_raise_last, last)
    connection.execute(_marks[connection.dialect.name], last)
