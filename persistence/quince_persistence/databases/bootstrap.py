"""Whether a database holds a store that this code can use; made if it is empty."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, Inspector, delete, insert, inspect, select

from quince_persistence.databases.database import Database, shown
from quince_persistence.errors import NotAStore, SchemaOutdated, SchemaTooNew
from quince_persistence.schema.tables import SCHEMA_VERSION, counters, metadata, schema

_NAME = "store"
_identity = select(counters.c.value).where(counters.c.name == _NAME)


def prepare(database: Database) -> None:
    """Check the schema; make it in an empty database. Several programs may do so at once.

    Raises:
        SchemaOutdated: made by an older Quince.
        SchemaTooNew: made by a newer Quince.
        NotAStore: tables of ours are there, but no version.
    """
    with database.exclusive(), database.engine().connect() as connection:
        found = version(connection)
    if found is None:
        found = _make(database)
    if found < SCHEMA_VERSION:
        raise SchemaOutdated(found, SCHEMA_VERSION)
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(found, SCHEMA_VERSION)


def identity(database: Database) -> str:
    """The name of the store among all stores; one that has none gets it. A copy has the same."""
    with database.exclusive(), database.engine().connect() as connection:
        number = connection.execute(_identity).scalar()
    return f"{number or set_identity(database):012x}"


def set_identity(database: Database, *, replace: bool = False) -> int:
    """Give the store a name that no other has.

    Args:
        replace: Also if it has one.
    """
    with database.turn(), database.writer() as connection:
        database.lock_schema(connection)
        number: int | None = connection.execute(_identity).scalar()  # another program may have been quicker
        if number is None or replace:
            connection.execute(delete(counters).where(counters.c.name == _NAME))
            number = secrets.randbits(47) + 1
            connection.execute(insert(counters), {"name": _NAME, "value": number})
        connection.commit()
        return number


def version(connection: Connection) -> str | None:
    """The version that the database says it has; None if it holds no store.

    Raises:
        NotAStore: tables of ours are there, but no version.
    """
    inspector: Inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    if schema.name not in tables:
        ours = sorted(tables & set(metadata.tables))
        if ours:
            raise NotAStore(
                f"{shown(connection.engine.url)} holds tables of another program "
                f"({', '.join(ours)}); give Quince a database of its own"
            )
        return None
    return connection.execute(select(schema.c.version_num)).scalar()


def _make(database: Database) -> str:
    with database.turn(), database.writer() as connection:
        database.lock_schema(connection)
        found = version(connection)  # another program may have been quicker
        if found is None:
            metadata.create_all(connection, checkfirst=False)
            connection.execute(insert(counters), {"name": "pid", "value": 0})
            connection.execute(insert(schema), {"version_num": SCHEMA_VERSION})
        connection.commit()
        return found or SCHEMA_VERSION
