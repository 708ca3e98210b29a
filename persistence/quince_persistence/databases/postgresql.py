"""PostgreSQL through psycopg 3, at READ COMMITTED: what must not change is locked.

Source: https://www.postgresql.org/docs/current/functions-info.html (`pg_xact_status` tells an
application whether its transaction was committed, when the connection broke in the middle of it).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from quince_persistence.clock import skipped
from quince_persistence.databases.database import discard, first_line, shown
from quince_persistence.databases.error_codes import ErrorKind, kind_of, sqlstate_of
from quince_persistence.databases.pipeline import in_one_go, pipeline
from quince_persistence.databases.sessions import Sessions
from quince_persistence.errors import (
    InvalidUrl,
    MissingDriver,
    PersistenceError,
    PidTaken,
    RecordRefused,
    StoreBusy,
    StoreFull,
    StoreUnavailable,
)
from quince_persistence.schema.tables import WRITER, counters, metadata, tell_conditions

CONNECT_SECONDS = 10
POOL = {"pool_size": 5, "max_overflow": 20, "pool_timeout": 30.0}
"""Of the connections for reads."""
_PID_KEY = "processes_pkey"
_IN_THE_FUTURE = "22023"
_abandoned: list[object] = []
"""What is kept, so that it is never closed."""

# A transaction is known by its number and by a mark of its own, which it leaves in a row of its writer's: a
# server that dies may give the number of one that it had not yet written down to another one.
_MARK = (
    f"INSERT INTO {counters.name} (name, value) VALUES ('{{name}}', {{mark}}) "
    "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value "
    "RETURNING extract(epoch FROM clock_timestamp())::float8, pg_current_xact_id()::text"
)
_fate = text(
    "SELECT pg_xact_status(CAST(:number AS xid8)) IS NOT DISTINCT FROM 'in progress', "
    f"coalesce((SELECT value = :mark FROM {counters.name} WHERE name = :name), false)"
)
_lock_schema = text("SELECT pg_advisory_xact_lock(7161532, 1)")

_ADVICE = {
    "25006": "it takes no writes: a standby, or a primary that was made read-only",
    "42501": "the user lacks a right; give it to the owner of the tables",
    "42703": "the tables are not as they were; are they being restored, or upgraded?",
    "42P01": "the tables are not there; are they being restored, or upgraded?",
    "53300": "no connection is left; raise max_connections, or the limit of the role or database",
    "57014": "another session cancels the queries of Quince",
}
"""What to say of a SQLSTATE that the server's own sentence does not say."""

# A server that is cut off must not hold the writer for the two hours of TCP's default.
_KEEPALIVE = {
    "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}  # fmt: skip


class Ticket(NamedTuple):
    """By which a transaction is asked for: its number in the server, and the mark that it leaves."""

    number: str
    mark: int


class PostgreSQL:
    """A database in a PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        tell_conditions("postgresql")
        self.url = url
        self._sessions = Sessions(shown(url), " ".join(_listed(url.query.get("options"))))
        self._reader: Engine | None = None
        self._writer: Engine | None = None
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._name = f"{WRITER}{secrets.token_hex(8)}"

    def engine(self) -> Engine:
        if self._reader is None:
            self._reader = self._make(isolation_level="AUTOCOMMIT", **POOL)
            event.listen(self._reader, "begin", self._begin_to_read)
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

    def begin(self, connection: Connection) -> tuple[float, Ticket]:
        mark = time.time_ns() // 1000
        marked = _MARK.format(name=self._name, mark=mark)
        if self._sessions.pooled:
            self._sessions.begin(connection, write=True)
        else:  # one message, one answer: the transaction takes in what stands before its BEGIN
            marked += "; BEGIN"
        now, number = connection.exec_driver_sql(marked).one()
        return now + skipped(), Ticket(number, mark)

    def _begin_to_read(self, connection: Connection) -> None:
        if self._sessions.pooled:  # else each statement stands alone
            self._sessions.begin(connection, write=False)

    @contextmanager
    def committing(self, connection: Connection) -> Iterator[None]:
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

    def size(self) -> int:
        with self.engine().connect() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def vacuum(self) -> None:
        with self.writer() as connection:
            for name in metadata.tables:
                connection.exec_driver_sql(f"VACUUM (ANALYZE) {name}")

    def lock_schema(self, connection: Connection) -> None:
        if self._sessions.pooled:
            self._sessions.begin(connection, write=True)
        else:
            connection.exec_driver_sql("BEGIN")
        connection.execute(_lock_schema)

    def drop(self, connection: Connection) -> None:
        discard(connection)

    def was_committed(self, connection: Connection, ticket: Any) -> bool | None:
        asked = {"number": ticket.number, "mark": ticket.mark, "name": self._name}
        try:
            goes_on, marked = connection.execute(_fate, asked).one()
        except DBAPIError as error:
            if sqlstate_of(error) != _IN_THE_FUTURE:
                raise
            goes_on = marked = False  # the server died before any of it was on the disk
        connection.rollback()
        return None if goes_on else bool(marked)

    def classify(self, error: Exception) -> ErrorKind:
        return kind_of(error)

    def explain(self, error: Exception) -> PersistenceError:
        said, code, kind = first_line(error), sqlstate_of(error), self.classify(error)
        where = shown(self.url)
        if code is None and kind is ErrorKind.LOST:
            return self._no_connection(said)
        if "statement pooling" in said:
            return InvalidUrl(
                f"{where} is behind PgBouncer in statement mode, where there are no transactions; "
                "set pool_mode = transaction (or session) there"
            )
        if code == "53100":
            return StoreFull(f"the disk of {where} is full; make room, nothing was written")
        if code in {"55P03", "55006"}:
            return StoreBusy(
                f"{where}: {said}; another session holds the lock (VACUUM FULL, ALTER TABLE, LOCK TABLE?): "
                "end it, or wait for it; nothing was written"
            )
        if isinstance(error, PoolTimeout):
            return StoreBusy(f"{where}: all connections of this program are in use; it tries again")
        if getattr(getattr(getattr(error, "orig", None), "diag", None), "constraint_name", None) == _PID_KEY:
            return PidTaken()
        if kind is ErrorKind.DATA:
            return RecordRefused(f"the database does not take this: {said}")
        if code is None:
            return StoreUnavailable(f"{where} cannot be used: {type(error).__name__}: {said}")
        return StoreUnavailable(f"{where} cannot do it now: {said} ({code}){self._advice(code)}")

    def _no_connection(self, said: str) -> PersistenceError:
        """libpq tells why in words alone."""
        where = shown(self.url)
        if "database" in said and "does not exist" in said:
            return InvalidUrl(f"{where}: there is no such database; make it (`createdb {self.url.database}`)")
        if "authentication failed" in said or "does not exist" in said or "no pg_hba.conf entry" in said:
            return InvalidUrl(f"{where} refuses the login: {said}")
        return StoreUnavailable(
            f"{where} does not answer: {said}; see that it runs, and that the address is right"
        )

    @staticmethod
    def _advice(code: str) -> str:
        return f"; {_ADVICE[code]}" if code in _ADVICE else ""

    def dispose(self) -> None:
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()
        self._reader = self._writer = None

    def abandon(self, writing: Sequence[Connection], *, quiet: bool) -> bool:
        """The sockets are replaced by /dev/null: what ends in the child ends no session of the parent, and
        when the parent dies the server notices."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for connection in list(self._connections):
            with contextlib.suppress(Exception):  # it was closed
                os.dup2(nothing, connection.fileno(), inheritable=False)
        os.close(nothing)
        _abandoned.append((self._reader, self._writer, writing))
        return False

    def _make(self, **arguments: Any) -> Engine:
        connect = {"connect_timeout": CONNECT_SECONDS, **_KEEPALIVE, **self.url.query}
        connect.pop("options", None)
        try:
            engine = create_engine(self.url.set(query={}), connect_args=connect, **arguments)
        except ImportError as error:
            raise MissingDriver(
                'PostgreSQL needs the driver psycopg; install it with: pip install "quince[postgres]"'
            ) from error

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: Any, _record: Any, _arguments: Any, named: dict[str, Any]) -> Any:
            return self._sessions.connect(dialect.loaded_dbapi, named)

        event.listen(engine, "connect", lambda connection, _record: self._connections.add(connection))
        return engine


def _listed(value: str | Sequence[str] | None) -> Sequence[str]:
    """What a URL says once, several times, or not at all."""
    return [value] if isinstance(value, str) else value or []
