"""Databases of a PostgreSQL that hold an empty store already: made once, emptied after each use.

To make a database, and the tables of a store in it, costs a server and its client a third of a second.
"""

from __future__ import annotations

import contextlib
import time
from itertools import count

import psycopg

from quince_persistence.store import Store
from tests.services import Postgres

OTHERS_GO_WITHIN = 5.0
"""Seconds for what is connected to a database to be gone, after it was told so."""

_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_SHAPE = """
    SELECT ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1)
        || ARRAY(SELECT c.relname || ' ' || c.relkind::text || ' ' || coalesce(a.attname, '') || ' '
                     || coalesce(format_type(a.atttypid, a.atttypmod), '') || coalesce(a.attnotnull::text, '')
                 FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                 WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1)
        || ARRAY(SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
                 WHERE d.datname = current_database() ORDER BY 1)
"""
"""All that a test may have changed of a database beside the rows: schemas, tables, indexes, settings."""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'quince_schema'"


class PreparedDatabases:
    """Databases with an empty store. One that comes back is emptied and renamed: whoever was left over
    finds it no more. One that has other tables than it had is dropped."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._numbers = count(1)
        self._free: list[str] = []
        self._template = ""
        self._shape: list[str] = []

    def take(self) -> str:
        """The URL of a database that nobody uses or has used under this name."""
        name = f"prepared_{next(self._numbers)}"
        if self._free:
            self._server.sql(f"ALTER DATABASE {self._free.pop()} RENAME TO {name}")
        else:
            self._server.sql(f"CREATE DATABASE {name} TEMPLATE {self._made()}")
        return self._server.url(name)

    def give_back(self, url: str) -> None:
        """Whoever is connected to it is thrown out."""
        name = url.rpartition("/")[2]
        if self._empty(name):
            self._free.append(name)
        else:
            self._server.drop(url)

    def _made(self) -> str:
        if not self._template:
            url = self._server.new_url()
            Store(url).__enter__().close()
            self._template = url.rpartition("/")[2]
            with self._server.connect(self._template) as connection:
                self._shape = _shape(connection)
                _empty(connection)
        return self._template

    def _empty(self, name: str) -> bool:
        with contextlib.suppress(psycopg.Error), self._server.connect(name) as connection:
            deadline = time.monotonic() + OTHERS_GO_WITHIN
            while connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}".encode()).fetchall():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.005)
            if _shape(connection) != self._shape:
                return False
            _empty(connection)
            return True
        return False


def _shape(connection: psycopg.Connection) -> list[str]:
    (shape,) = connection.execute(_SHAPE.encode()).fetchone() or ([],)
    return list(shape)


def _empty(connection: psycopg.Connection) -> None:
    """As a store that was just made, by one that has not asked for its name yet."""
    tables = [name for (name,) in connection.execute(_TABLES.encode())]
    emptied = "; ".join(f"DELETE FROM {name}" for name in tables)
    connection.execute(f"{emptied}; INSERT INTO counters (name, value) VALUES ('pid', 0)".encode())
