"""SQLite: one writer at a time, readers that never wait, every commit on the disk.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, StaticPool

from quince_persistence.clock import now
from quince_persistence.databases.at_fork import fork_guard
from quince_persistence.databases.database import discard, first_line, shown
from quince_persistence.databases.error_codes import ErrorKind, kind_of, sqlite_code_of
from quince_persistence.databases.retry import tries
from quince_persistence.databases.sqlite_url import make_private
from quince_persistence.databases.structured_log import StructuredLogger
from quince_persistence.databases.write_turns import WriteTurns, users_of
from quince_persistence.errors import (
    InvalidUrl,
    NotAStore,
    PersistenceError,
    PidTaken,
    RecordRefused,
    StoreBusy,
    StoreFull,
    StoreMoved,
    StoreUnavailable,
)
from quince_persistence.schema.tables import tell_conditions

_log = StructuredLogger("quince.store")
_abandoned: list[object] = []
"""What is kept, so that it is never closed."""

LONGEST_PATH = 503
"""Bytes: SQLite takes 512, with the names of its other files."""

BUSY_SECONDS = 30.0
"""How long the database may be locked by others before a call fails."""

LOG_BYTES = 16_000_000
"""To which the file of the write-ahead log is truncated when it starts over."""

_READERS_MS = 100
_AGAIN_SECONDS = 1.0
_CLOSING_SECONDS = 2.0
_PAUSES = {"first": 0.0002, "longest": 0.002}


class SQLite:
    """A database in a file, or in memory (`sqlite://`, for tests: one connection that all share)."""

    def __init__(self, url: URL, *, busy_seconds: float) -> None:
        tell_conditions("sqlite")
        self.url = url
        self._busy_seconds = busy_seconds
        self._in_memory = url.database in {None, "", ":memory:"}
        self._path = _real_path(str(url.database))
        self._turns = WriteTurns(self._path, patience=busy_seconds)
        self._log_kept_until = 0.0
        self._engines: list[Engine] = []
        self._file: tuple[int, int] | None = None
        self._reader: Engine | None = None
        self._alone: AbstractContextManager[Any] = threading.RLock() if self._in_memory else fork_guard

    def engine(self) -> Engine:
        self._require_in_place()
        if self._reader is None:
            self._check_folder()
            self._reader = self._make(pool=StaticPool if self._in_memory else None, busy_ms=30_000)
        return self._reader

    def writer(self) -> Connection:
        if self._in_memory:
            return self.engine().connect()
        self._require_in_place()
        self._check_folder()
        return self._make(pool=NullPool, busy_ms=0).connect()

    def _require_in_place(self) -> None:
        """Check that the file is the one that was opened: what is written to a removed one is lost.

        Raises:
            StoreMoved: the file of its first connection is not there any more.
        """
        if self._file is not None and self._file != _file_at(self._path):
            raise StoreMoved(
                f"{shown(self.url)} was moved, removed or replaced while it was open; nothing is written any "
                "more. Move it back, or start the program again with where it is now"
            )

    def exclusive(self) -> AbstractContextManager[Any]:
        return self._alone

    def turn(self) -> AbstractContextManager[Any]:
        return self._alone if self._in_memory else self._guarded_turn()

    @contextmanager
    def _guarded_turn(self) -> Iterator[None]:
        with self._turns.turn(), fork_guard:
            yield

    def begin(self, connection: Connection) -> tuple[float, None]:
        self._require_in_place()
        self._begin_immediate(connection)
        return now(), None

    @contextmanager
    def committing(self, connection: Connection) -> Iterator[None]:
        yield
        connection.commit()
        if not self._in_memory:
            self._bound_log(connection)

    def size(self) -> int:
        return _size(str(self._path)) + _size(f"{self._path}-wal")

    def vacuum(self) -> None:
        """The new file is written beside the old one, and then through the write-ahead log."""
        if not self._in_memory:
            self._require_room()
        with self.turn(), self.writer() as connection:
            if not self._in_memory:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(self._busy_seconds * 1000)}")
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()

    def _require_room(self) -> None:
        """
        Raises:
            StoreFull: there is not enough for what `VACUUM` writes.
        """
        size = self.size()
        for folder in {self._path.parent, Path(os.environ.get("SQLITE_TMPDIR", tempfile.gettempdir()))}:
            free = shutil.disk_usage(folder).free
            if free < 2 * size:
                raise StoreFull(
                    f"to make {self._path} smaller takes twice its {size / 1e6:,.0f} MB for a while, and "
                    f"{folder} has {free / 1e6:,.0f} MB left; what was deleted is used again all the same"
                )

    def lock_schema(self, connection: Connection) -> None:
        self._begin_immediate(connection)

    def was_committed(self, connection: Connection, ticket: Any) -> bool | None:
        return False  # a COMMIT that fails on SQLite has not happened

    def classify(self, error: Exception) -> ErrorKind:
        kind = kind_of(error)
        if self._in_memory and kind is ErrorKind.LOST:
            return ErrorKind.UNKNOWN  # the database would be gone with its connection
        return kind

    def explain(self, error: Exception) -> PersistenceError:
        where, said, code = self.url.database, first_line(error), sqlite_code_of(error)
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"the disk that holds {where} is full; make room, nothing was written")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return StoreBusy(
                f"{where} is locked by another program for more than {self._busy_seconds:g} s "
                f"({users_of(self._path)}): end it, or wait; nothing was written"
            )
        if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            return NotAStore(f"{where} is not a database of Quince, or is damaged: {said}")
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            return StoreUnavailable(
                f"{where} cannot be opened: {said}; its folder must exist and, also for looking, be yours to "
                "write to (permissions, a disk mounted read-only)"
            )
        if said == "UNIQUE constraint failed: processes.pid":
            return PidTaken()
        if self.classify(error) is ErrorKind.DATA:
            return RecordRefused(f"the database does not take this: {said}")
        return StoreUnavailable(f"{where} cannot be used: {type(error).__name__}: {said}")

    def drop(self, connection: Connection) -> None:
        if self._in_memory:  # others use it: it ends with the database
            with self._alone:
                connection.close()
        else:
            discard(connection)

    def dispose(self) -> None:
        # Closing the last connection copies the log into the database; SQLite lets nobody else open it
        # meanwhile, so a turn that does not come in time is no reason to leave connections open.
        with contextlib.ExitStack() as stack:
            if self._engines and not self._in_memory:
                with contextlib.suppress(PersistenceError):
                    stack.enter_context(self._turns.turn(_CLOSING_SECONDS))
            stack.enter_context(fork_guard)
            self._close()
        self._turns.close()

    def _close(self) -> None:
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()
        self._reader = self._file = None

    def abandon(self, writing: Sequence[Connection], *, quiet: bool) -> bool:
        if self._in_memory:
            self._alone = threading.RLock()
            return True
        self._turns.abandon()
        if quiet:  # all are at rest, so closing them writes nothing
            for connection in writing:
                connection.invalidate()
                connection.close()
            self._close()
        else:  # to close a connection in the middle of a write would undo it under the parent
            _log.error(
                "this process was forked while %(store)s was written to for a long time",
                store=self.url.database,
            )
            _abandoned.append((self._engines, writing))
        return False

    def _make(self, *, pool: type[Any] | None, busy_ms: int) -> Engine:
        arguments: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
        if pool is not None:
            arguments["poolclass"] = pool
        engine = create_engine(self.url, **arguments)
        in_memory, where = self._in_memory, self.url.database

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            if self._file is None and not in_memory:
                self._file = _file_at(self._path)
            connection.isolation_level = None  # transactions begin and end where we say so
            connection.execute("PRAGMA busy_timeout = 30000")
            if not in_memory:
                _turn_wal_on(connection, where)
                connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -32000")
            connection.execute(f"PRAGMA busy_timeout = {busy_ms}")

        self._engines.append(engine)
        return engine

    def _begin_immediate(self, connection: Connection) -> None:
        """`BEGIN IMMEDIATE`, tried often: SQLite's own waiting sleeps up to 100 ms at a time."""
        for last in tries(time.monotonic() + self._busy_seconds, **_PAUSES):
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if last or sqlite_code_of(error) != sqlite3.SQLITE_BUSY:
                    raise
            else:
                return

    def _bound_log(self, connection: Connection) -> None:
        """Keep the write-ahead log small. Within the turn, after a commit.

        Each commit copies a log of more than 4 MB into the database, as far as no reader needs what that
        would replace; the log starts over when all is copied and no reader uses it. Reads that overlap
        without a pause could prevent that for ever; so, from some size on, later ones are made to read from
        the database. A reader that stays is waited for only briefly: it is tried again later.
        """
        moment = time.monotonic()
        if moment < self._log_kept_until or _size(f"{self._path}-wal") <= 2 * LOG_BYTES:
            return
        self._log_kept_until = moment + _AGAIN_SECONDS
        try:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_READERS_MS}")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            connection.commit()
        except DBAPIError as error:  # the commit before it is durable, whatever becomes of this
            _log.warning(
                "the write-ahead log of %(store)s stays large: %(reason)s",
                store=self._path,
                error=error,
                reason=first_line(error),
            )

    def _check_folder(self) -> None:
        if self._in_memory or str(self.url.database).startswith("file:"):
            return
        path = Path(str(self.url.database))
        if (length := len(os.fsencode(path.absolute()))) > LONGEST_PATH:
            raise InvalidUrl(
                f"{shown(self.url)}: this path has {length} bytes, and SQLite takes {LONGEST_PATH} at most; "
                "use a folder with a shorter path, or name a file with --store"
            )
        if not path.absolute().parent.is_dir():
            raise InvalidUrl(f"{shown(self.url)}: there is no folder {path.absolute().parent}; make it first")
        if path.is_dir():
            raise InvalidUrl(f"{shown(self.url)}: {path} is a folder; name a file in it")
        make_private(path)


def _real_path(database: str) -> Path:
    """The file that SQLite writes to, whatever name it is given by: the locks are beside that."""
    if database.startswith("file:"):
        database = unquote(database.removeprefix("file:").partition("?")[0]).removeprefix("//")
    return Path(os.path.realpath(database))


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of pathlib's, and before each transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _turn_wal_on(connection: sqlite3.Connection, where: str | None) -> None:
    """Several programs may do so at once; SQLite does not wait for them here by itself."""
    mode = None
    for last in tries(time.monotonic() + 10.0, **_PAUSES):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if last or sqlite_code_of(error) != sqlite3.SQLITE_BUSY:
                raise
        else:
            break
    if mode not in {"wal", "memory"}:
        raise InvalidUrl(
            f"{where} is where SQLite can keep no write-ahead log (a network file system?), but {mode!r}; "
            "put the file on a disk of this machine"
        )
