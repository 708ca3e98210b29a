"""SQLite: one writer at a time, readers that never wait, every commit on the disk.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, StaticPool

from persistence.database import first_line, shown
from persistence.errors import (
    InvalidUrl,
    NotAStore,
    PersistenceError,
    PidTaken,
    RecordRefused,
    StoreBusy,
    StoreFull,
    StoreUnavailable,
)
from persistence.forks import calm
from persistence.troubles import Trouble, sqlite_code_of, trouble_of
from persistence.turnstile import Turnstile

_log = logging.getLogger("quince.store")
_abandoned: list[object] = []
"""What is kept, so that it is never closed."""

LONGEST_PATH = 503
"""Bytes: SQLite takes 512, with the names of its other files."""

BUSY_SECONDS = 30.0
"""How long the database may be locked by others before a call fails."""

_FIRST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.002


class SQLite:
    """A database in a file, or in memory (`sqlite://`, for tests: one connection that all share)."""

    def __init__(self, url: URL, *, busy_seconds: float) -> None:
        self.url = url
        self._busy_seconds = busy_seconds
        self._in_memory = url.database in {None, "", ":memory:"}
        self._turnstile = Turnstile(Path(str(url.database)).resolve())  # one, by whatever links it is reached
        self._engines: list[Engine] = []
        self._reader: Engine | None = None
        self._alone: AbstractContextManager[Any] = threading.RLock() if self._in_memory else calm

    def engine(self) -> Engine:
        if self._reader is None:
            self._check_folder()
            self._reader = self._make(pool=StaticPool if self._in_memory else None, busy_ms=30_000)
        return self._reader

    def writer(self) -> Connection:
        if self._in_memory:
            return self.engine().connect()
        self._check_folder()
        return self._make(pool=NullPool, busy_ms=0).connect()

    def exclusive(self) -> AbstractContextManager[Any]:
        return self._alone

    def turn(self) -> AbstractContextManager[Any]:
        return self._alone if self._in_memory else self._calm_turn()

    @contextmanager
    def _calm_turn(self) -> Iterator[None]:
        with self._turnstile.turn(), calm:
            yield

    def begin(self, connection: Connection) -> tuple[float, None]:
        self._begin_immediate(connection)
        return time.time(), None

    @contextmanager
    def together(self, connection: Connection) -> Iterator[None]:
        yield
        connection.commit()

    def lock_schema(self, connection: Connection) -> None:
        self._begin_immediate(connection)

    def committed(self, connection: Connection, ticket: Any) -> bool | None:
        return False  # a COMMIT that fails on SQLite has not happened

    def trouble(self, error: Exception) -> Trouble:
        trouble = trouble_of(error)
        if self._in_memory and trouble is Trouble.LOST:
            return Trouble.UNKNOWN  # the database would be gone with its connection
        return trouble

    def explain(self, error: Exception) -> PersistenceError:
        where, said, code = self.url.database, first_line(error), sqlite_code_of(error)
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"the disk that holds {where} is full; make room, nothing was written")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return StoreBusy(
                f"{where} is locked by another program for more than {self._busy_seconds:g} s; "
                "end that program, or wait for it"
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
        if self.trouble(error) is Trouble.DATA:
            return RecordRefused(f"the database does not take this: {said}")
        return StoreUnavailable(f"{where} cannot be used: {type(error).__name__}: {said}")

    def dispose(self) -> None:
        with calm:
            self._turnstile.close()
            for engine in self._engines:
                engine.dispose()
            self._engines.clear()
            self._reader = None

    def forsake(self, writing: Connection | None, *, calm: bool) -> bool:
        if self._in_memory:
            self._alone = threading.RLock()
            return True
        if calm:  # all are at rest, so closing them writes nothing
            if writing is not None:
                writing.invalidate()
                writing.close()
            self.dispose()
        else:  # to close a connection in the middle of a write would undo it under the parent
            _log.error("this process was forked while %s was written to for a long time", self.url.database)
            _abandoned.append((self._engines, writing))
            self._turnstile.close()
        return False

    def _make(self, *, pool: type[Any] | None, busy_ms: int) -> Engine:
        arguments: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
        if pool is not None:
            arguments["poolclass"] = pool
        engine = create_engine(self.url, **arguments)
        in_memory, where = self._in_memory, self.url.database

        @event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # transactions begin and end where we say so
            connection.execute("PRAGMA busy_timeout = 30000")
            if not in_memory:
                _turn_wal_on(connection, where)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -32000")
            connection.execute(f"PRAGMA busy_timeout = {busy_ms}")

        self._engines.append(engine)
        return engine

    def _begin_immediate(self, connection: Connection) -> None:
        """`BEGIN IMMEDIATE`, tried often: SQLite's own waiting sleeps up to 100 ms at a time."""
        until = time.monotonic() + self._busy_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                if sqlite_code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            else:
                return

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


def _turn_wal_on(connection: sqlite3.Connection, where: str | None) -> None:
    """Several programs may do so at once; SQLite does not wait for them here by itself."""
    until = time.monotonic() + 10.0
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_LONGEST_PAUSE)
        else:
            break
    if mode not in {"wal", "memory"}:
        raise InvalidUrl(
            f"{where} is where SQLite can keep no write-ahead log (a network file system?), but {mode!r}; "
            "put the file on a disk of this machine"
        )
