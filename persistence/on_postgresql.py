"""PostgreSQL through psycopg 3, at READ COMMITTED: what must not change is locked.

Source: https://www.postgresql.org/docs/current/functions-info.html (`pg_xact_status` tells an
application whether its transaction was committed, when the connection broke in the middle of it).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from persistence.database import Trouble, first_line
from persistence.errors import (
    InvalidUrl,
    MissingDriver,
    PersistenceError,
    PidTaken,
    RecordRefused,
    StoreFull,
    StoreUnavailable,
)
from persistence.together import in_one_go, pipeline

CONNECT_SECONDS = 10

# One message, one answer. The transaction takes in what stands before its BEGIN.
_begin = "SELECT extract(epoch FROM clock_timestamp())::float8, pg_current_xact_id()::text; BEGIN"
_fate = text("SELECT pg_xact_status(CAST(:ticket AS xid8))")
_lock_schema = text("SELECT pg_advisory_xact_lock(7161532, 1)")

_NOT_OURS = {"42501", "42P01", "42703"}  # no right, no such table or column: nothing in the data
_CONFLICTS = {"40001", "40P01"}
_FULL = {"53100"}
_LOST_CLASSES = {"08", "57", "58"}
_LOST = {"25006", "53300", "25P03"}
_BAD_LOGIN = {"28000", "28P01", "3D000"}

# A server that is frozen or cut off must not hold the writer for the two hours of TCP's default, and
# a writer that is cut off must not hold its locks in the server.
_KEEPALIVE = {
    "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}  # fmt: skip
_OPTIONS = "-c idle_in_transaction_session_timeout=10000"


class PostgreSQL:
    """A database in a PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._reader: Engine | None = None
        self._writer: Engine | None = None

    def engine(self) -> Engine:
        if self._reader is None:
            self._reader = self._make(isolation_level="AUTOCOMMIT", max_overflow=20)
        return self._reader

    def writer(self) -> Connection:
        if self._writer is None:
            # Transactions begin where we say so; the driver would send a BEGIN of its own, and wait for it.
            self._writer = self._make(isolation_level="AUTOCOMMIT", poolclass=NullPool)
        return self._writer.connect()

    def exclusive(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def turn(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def begin(self, connection: Connection) -> tuple[float, str]:
        now, ticket = connection.exec_driver_sql(_begin).one()
        return now, ticket

    @contextmanager
    def together(self, connection: Connection) -> Iterator[None]:
        if in_one_go(connection):
            try:
                with pipeline(connection) as driver:
                    yield
                    driver.cursor().execute("COMMIT")
            except BaseException:
                with contextlib.suppress(Exception):
                    connection.connection.rollback()  # for SQLAlchemy, it has none to roll back
                raise
        else:
            yield
        connection.commit()

    def lock_schema(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")
        connection.execute(_lock_schema)

    def committed(self, connection: Connection, ticket: Any) -> bool | None:
        status = connection.execute(_fate, {"ticket": ticket}).scalar_one()
        connection.rollback()
        return None if status == "in progress" else status == "committed"

    def trouble(self, error: DBAPIError) -> Trouble:
        code: str | None = getattr(error.orig, "sqlstate", None)
        if code in _CONFLICTS:
            return Trouble.CONFLICT
        if code in _FULL:
            return Trouble.STATE
        if error.connection_invalidated or code in _LOST or (code or "")[:2] in _LOST_CLASSES:
            return Trouble.LOST
        if code is None and type(error.orig).__name__ == "OperationalError":
            return Trouble.LOST  # libpq could not connect, or found the connection broken
        if (code or "")[:2] in {"28", "3D", "53", "XX"} or code in _NOT_OURS:
            return Trouble.STATE
        return Trouble.DATA

    def explain(self, error: DBAPIError) -> PersistenceError:
        said, code = first_line(error), getattr(error.orig, "sqlstate", None)
        where = self.url.render_as_string()
        if code in _FULL:
            return StoreFull(f"the disk of {where} is full; make room, nothing was written")
        if code == "3D000" or ("database" in said and "does not exist" in said):
            return InvalidUrl(f"{where}: there is no such database; make it (`createdb {self.url.database}`)")
        if code in _BAD_LOGIN or "authentication failed" in said or "does not exist" in said:
            return InvalidUrl(f"{where} does not let us in: {said}")
        if getattr(getattr(error.orig, "diag", None), "constraint_name", None) == "processes_pkey":
            return PidTaken()
        if self.trouble(error) is Trouble.DATA:
            return RecordRefused(f"the database does not take this: {said}")
        return StoreUnavailable(
            f"{where} does not answer: {said}; see that it runs, and that the address is right"
        )

    def dispose(self) -> None:
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()
        self._reader = self._writer = None

    def _make(self, **arguments: Any) -> Engine:
        query = self.url.query
        options = f"{query.get('options', '')} {_OPTIONS}".strip()
        connect = {"connect_timeout": CONNECT_SECONDS, **_KEEPALIVE, **query, "options": options}
        try:
            return create_engine(self.url.set(query={}), connect_args=connect, **arguments)
        except ImportError as error:
            raise MissingDriver(
                'PostgreSQL needs the driver psycopg; install it with: pip install "quince[postgres]"'
            ) from error
