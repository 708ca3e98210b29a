"""Where the lives of a crash test take place: every one on a fresh copy of the same workspace."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table, delete, select

import quince_messaging
from quince.messages import task_for
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_messaging.uri import folder_uri
from quince_persistence.databases.opening import database_of
from quince_persistence.databases.sqlite_url import file_url
from quince_persistence.schema.tables import events, metadata, schema, signals

SNAPSHOT = "snapshot"
"""File in the template of workspaces on servers: all rows of the store."""


_NUMBERED = frozenset({events.c.seq, signals.c.seq})
"""Columns that the database fills in."""
TABLES: Sequence[Table] = [table for table in metadata.sorted_tables if table is not schema]


class OnServers(msgspec.Struct, frozen=True):
    """A database and a virtual host, for one life at a time.

    Attributes:
        pid: Of the process that was submitted.
    """

    store: str
    broker: str
    pid: int

    def fresh(self, template: Path, folder: Path) -> Location:
        """Make both as they were when the workflow had been submitted."""
        folder.mkdir()
        _put_back(self.store, (template / SNAPSHOT).read_bytes())
        location = Location(folder, self.store, self.broker)
        with open_store(location) as store:
            names = location.names(store.identity)
        asyncio.run(self._ring(names))
        return location

    async def _ring(self, names: str | None) -> None:
        async with quince_messaging.connect_async(self.broker, prefix=names) as communicator:
            await communicator.purge()
            await communicator.send_tasks([task_for(self.pid)])


def embedded(template: Path, folder: Path) -> Location:
    """A copy of an embedded workspace."""
    shutil.copytree(template, folder)
    return place_of(folder)


def place_of(folder: Path) -> Location:
    """The embedded workspace in a folder, whatever the environment says."""
    state = folder / ".quince"
    return Location(folder, file_url(state / "quince.db"), folder_uri(state / "messages"))


def take_snapshot(url: str) -> bytes:
    """Every row of a store that nobody writes to."""
    database = database_of(url)
    with database.engine().connect() as connection:
        rows = {
            table.name: [list(row) for row in connection.execute(select(*_columns(table)))]
            for table in TABLES
        }
    database.dispose()
    return msgspec.msgpack.encode(rows)


def _put_back(url: str, snapshot: bytes) -> None:
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
