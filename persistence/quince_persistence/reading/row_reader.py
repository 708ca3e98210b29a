"""How a read is made: on a connection of its own, once more if that was lost, large values as bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable

from quince_persistence.databases.database import Database, for_caller
from quince_persistence.databases.error_codes import ErrorKind
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.databases.retry import tries
from quince_persistence.errors import PersistenceError

PATIENCE = 10.0
"""Seconds that a read waits for a database that is away."""


class RowReader:
    """Reads of one database. May be used from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self._database.url.drivername == "sqlite"

    def rows(
        self,
        statement: Executable,
        *,
        large: bool = False,
        within: float | None = None,
        **parameters: Any,
    ) -> Sequence[Any]:
        """The rows of a statement, which sees what is committed when it starts.

        Args:
            large: It reads values that may be large.
            within: Seconds to wait for a database that is away; `PATIENCE` if not given.

        Raises:
            StoreUnavailable: the database does not answer in that time, or cannot answer this.
        """
        until = time.monotonic() + (PATIENCE if within is None else within)
        for last in tries(until, first=0.01, longest=1.0):
            try:
                with self._database.exclusive(), self._database.engine().connect() as connection:
                    if large:
                        return fetch_bytes(connection, statement, parameters)
                    return connection.execute(statement, parameters).all()
            except PersistenceError:
                raise
            except Exception as error:
                again = self._database.classify(error) in {ErrorKind.LOST, ErrorKind.CONFLICT}
                if last or not again:
                    raise for_caller(self._database, error) from error
        raise AssertionError("the last try returns or raises")
