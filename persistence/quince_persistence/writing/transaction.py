"""One write transaction at a time, on one connection, whatever happens to it.

A transaction that was rolled back by the database is run again. One whose COMMIT got no answer is
looked up first: it is never applied twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from quince_persistence.databases.database import Database
from quince_persistence.databases.error_codes import ErrorKind, sqlstate_of
from quince_persistence.databases.structured_log import StructuredLogger
from quince_persistence.errors import PersistenceError, StoreUnavailable
from quince_persistence.writing.throttled_log import ThrottledLog

_log = StructuredLogger("quince.store")
_T = TypeVar("_T")

PATIENCE_SECONDS = 60.0
"""How long a database that is away is waited for before its callers get an error."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_CONFLICTS = 50


def _nothing(_result: object, _connection: Connection) -> None:
    """There is nothing left to write."""


class Transactions:
    """Runs work in write transactions. Belongs to one thread; `stop` may be called from any."""

    def __init__(self, database: Database, *, patience: float = PATIENCE_SECONDS) -> None:
        self._database = database
        self._patience = patience
        self.connection: Connection | None = None
        self._stopping = threading.Event()
        self._throttled = ThrottledLog("quince.store")

    def run(
        self, work: Callable[[Connection, float], _T], write: Callable[[_T, Connection], object] = _nothing
    ) -> _T:
        """The result of the work, committed.

        Args:
            work: Given the connection and the time by the store's clock. May be called again, after
                its changes were undone.
            write: Given the result of the work. What it executes may travel together with the commit, so
                it can read nothing.

        Raises:
            StoreUnavailable: the database was away for longer than the patience.
            Exception: anything else that came of it (`Database.classify` and `explain` tell what it means);
                all was undone.
        """
        outage = _Outage(self._database, self._patience, self._stopping, self._throttled)
        conflicts = 0
        while True:
            try:
                with self._database.turn():
                    done = self._once(work, write, outage)
            except PersistenceError:
                raise
            except Exception as error:
                kind = self._database.classify(error)
                if kind is ErrorKind.LOST:
                    self._drop()
                    outage.wait(error)
                elif kind is ErrorKind.CONFLICT and conflicts < _CONFLICTS:
                    conflicts += 1
                    time.sleep(random.uniform(0, 0.002 * conflicts))
                else:
                    raise
            else:
                if done is not None:
                    return done[0]

    def stop(self) -> None:
        """Wait no longer for a database that is away."""
        self._stopping.set()

    def close(self) -> None:
        self._drop()

    def _once(
        self,
        work: Callable[[Connection, float], _T],
        write: Callable[[_T, Connection], object],
        outage: _Outage,
    ) -> tuple[_T] | None:
        """Run the work once. Its result, alone in a tuple; None if it has to be run again."""
        connection = self._connected()
        committing, ticket = False, None
        try:
            now, ticket = self._database.begin(connection)
            result = work(connection, now)
            with self._database.committing(connection):
                write(result, connection)
                committing = True
        except Exception as error:
            kind = self._database.classify(error)
            if committing and ticket is not None and (kind is ErrorKind.LOST or not sqlstate_of(error)):
                if self._was_committed(ticket, outage, error):
                    return (result,)
                if kind is ErrorKind.LOST:
                    return None
            else:
                self._undo(connection)
            raise
        except BaseException:
            self._undo(connection)
            raise
        return (result,)

    def _was_committed(self, ticket: Any, outage: _Outage, error: Exception) -> bool:
        """Find out, from the database, what became of a commit that got no answer.

        Only its answer counts: whatever goes wrong while it is asked is no answer.

        Raises:
            StoreUnavailable: it has not answered for longer than the patience; it stays in doubt.
        """
        _log.warning(
            "a commit got no answer (%(reason)s); asking what became of it",
            error=error,
            reason=self._database.explain(error),
        )
        outage.in_doubt = True
        while True:
            self._drop()
            outage.wait(error)
            try:
                fate = self._database.was_committed(self._connected(), ticket)
            except Exception as again:
                error = again
                continue
            if fate is not None:
                outage.in_doubt = False
                return fate

    def _connected(self) -> Connection:
        if self.connection is None:
            self.connection = self._database.writer()
        return self.connection

    def _undo(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except SQLAlchemyError as error:
            _log.debug("the rollback failed (%(error)s); the connection is thrown away", error=error)
            self._drop()

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self._database.drop(connection)


class _Outage:
    """The pauses between tries while the database is away, up to the patience."""

    def __init__(
        self, database: Database, patience: float, stopping: threading.Event, throttled: ThrottledLog
    ) -> None:
        self.in_doubt = False
        self._database = database
        self._patience = patience
        self._stopping = stopping
        self._throttled = throttled
        self._until: float | None = None
        self._pause = _FIRST_PAUSE

    def wait(self, error: Exception) -> None:
        """Pause; or raise StoreUnavailable when the patience is over."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._patience
        self._throttled.warn(
            "the database is away: %(reason)s", error=error, reason=self._database.explain(error)
        )
        if now >= self._until or self._stopping.wait(self._pause):
            raise StoreUnavailable(self._story(error), in_doubt=self.in_doubt) from error
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _story(self, error: Exception) -> str:
        doubt = " (whether the last commit was kept is not known)" if self.in_doubt else ""
        why = "the store was closed" if self._stopping.is_set() else f"gave up after {self._patience:g} s"
        return f"{self._database.explain(error)}; {why}{doubt}"
