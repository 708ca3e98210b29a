"""All rows of a store, taken out and put back: how a workspace on servers is made fresh for every life."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Table, delete, select

from quince_persistence.databases.opening import database_of
from quince_persistence.schema.tables import events, metadata, schema, signals

_NUMBERED = frozenset({events.c.seq, signals.c.seq})
"""Columns that the database fills in."""
TABLES: Sequence[Table] = [table for table in metadata.sorted_tables if table is not schema]


def take(url: str) -> bytes:
    """Every row of a store that nobody writes to."""
    database = database_of(url)
    with database.engine().connect() as connection:
        rows = {
            table.name: [list(row) for row in connection.execute(select(*_columns(table)))]
            for table in TABLES
        }
    database.dispose()
    return msgspec.msgpack.encode(rows)


def put(url: str, snapshot: bytes) -> None:
    """Replace every row of a store. The numbers of its events go on where they were."""
    rows = msgspec.msgpack.decode(snapshot)
    database = database_of(url)
    with database.turn(), database.writer() as connection:
        database.begin(connection)
        for table in TABLES:
            connection.execute(delete(table))
            names = [column.name for column in _columns(table)]
            if rows[table.name]:
                values = [dict(zip(names, row, strict=True)) for row in rows[table.name]]
                connection.execute(table.insert(), values)
        connection.commit()
    database.dispose()


def _columns(table: Table) -> list[Any]:
    return [column for column in table.c if column not in _NUMBERED]
