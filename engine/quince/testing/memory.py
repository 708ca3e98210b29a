"""A store in memory that several stores of this program share, and that can be away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from quince_persistence.databases.error_codes import ErrorKind
from quince_persistence.databases.sqlite import SQLite
from quince_persistence.errors import PersistenceError, StoreUnavailable
from quince_persistence.store import Store

PATIENCE_SECONDS = 0.5
"""Seconds that a write waits for it; a test has no minute."""


class MemoryDatabase(SQLite):
    """A database in memory. Like a server, it may not answer."""

    _idle: ClassVar[list[Self]] = []

    def __init__(self) -> None:
        super().__init__(URL.create("sqlite"), busy_seconds=PATIENCE_SECONDS)
        self._away = False

    @classmethod
    @contextmanager
    def lent(cls) -> Iterator[Self]:
        """An empty one for the block. It is used again: what SQLAlchemy has compiled for it is half of the
        work of a test."""
        database = cls._idle.pop() if cls._idle else cls()
        try:
            yield database
        finally:
            if database._reader is not None:
                database._reader.dispose()  # the database ends with its connection
            cls._idle.append(database)

    def store(self) -> Store:
        """One more store on it."""
        return Store("sqlite://", patience=PATIENCE_SECONDS, database=self)

    @contextmanager
    def away(self) -> Iterator[None]:
        """In the block, it answers nobody."""
        self._away = True
        try:
            yield
        finally:
            self.back()

    def back(self) -> None:
        """It answers again."""
        self._away = False

    def engine(self) -> Engine:
        self._require_there()
        return super().engine()

    def begin(self, connection: Connection) -> tuple[float, None]:
        self._require_there()
        return super().begin(connection)

    def classify(self, error: Exception) -> ErrorKind:
        return ErrorKind.LOST if isinstance(error, ConnectionError) else super().classify(error)

    def explain(self, error: Exception) -> PersistenceError:
        if isinstance(error, ConnectionError):
            return StoreUnavailable(str(error))
        return super().explain(error)

    def _require_there(self) -> None:
        if self._away:
            raise ConnectionError("the store of this test is away")
