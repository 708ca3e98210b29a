"""What an error of a database, or of its driver, means: whose fault it is, and what helps.

One table for both backends. What is not in it is `UNKNOWN`: nobody's data is at fault until that is proven.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html, https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Mapping

from sqlalchemy import exc


class ErrorKind(enum.Enum):
    """What an error means for a transaction, and for the calls that share it.

    `DATA` alone is the fault of a caller. All others pass, by themselves or when the cause has been mended:
    the callers get `StoreUnavailable`, and try again.
    """

    LOST = "the connection is broken, or the server accepts none now: reconnect"
    CONFLICT = "another transaction was in the way: the same again will work"
    STATE = "the database cannot do it now (full, locked, out of memory, being restored)"
    REFUSED = "it refuses until somebody has mended the cause (login, rights, a damaged file)"
    OURS = "a statement that makes no sense to it: a fault of Quince, or a changed schema"
    UNKNOWN = "not in the tables below"
    DATA = "it does not accept these values"

    @property
    def may_be_one_call(self) -> bool:
        """Whether one call of a group may be at fault: then the others are tried without it."""
        return self in {ErrorKind.OURS, ErrorKind.UNKNOWN, ErrorKind.DATA}


SQLSTATE_CLASSES: Mapping[str, ErrorKind] = {
    "00": ErrorKind.UNKNOWN,  # successful completion
    "01": ErrorKind.UNKNOWN,  # warning
    "02": ErrorKind.OURS,  # no data
    "03": ErrorKind.OURS,  # SQL statement not yet complete
    "08": ErrorKind.LOST,  # connection exception
    "09": ErrorKind.OURS,  # triggered action exception
    "0A": ErrorKind.LOST,  # feature not supported: a cached plan must not change its result type
    "0B": ErrorKind.LOST,  # invalid transaction initiation
    "0F": ErrorKind.OURS,  # locator exception
    "0L": ErrorKind.REFUSED,  # invalid grantor
    "0P": ErrorKind.REFUSED,  # invalid role specification
    "0Z": ErrorKind.OURS,  # diagnostics exception
    "10": ErrorKind.OURS,  # XQuery error
    "20": ErrorKind.OURS,  # case not found
    "21": ErrorKind.OURS,  # cardinality violation
    "22": ErrorKind.DATA,  # data exception
    "23": ErrorKind.DATA,  # integrity constraint violation
    "24": ErrorKind.LOST,  # invalid cursor state
    "25": ErrorKind.LOST,  # invalid transaction state: aborted, timed out, read-only (a standby)
    "26": ErrorKind.LOST,  # invalid SQL statement name: a pooler gave us another session
    "27": ErrorKind.OURS,  # triggered data change violation
    "28": ErrorKind.REFUSED,  # invalid authorization specification
    "2B": ErrorKind.OURS,  # dependent privilege descriptors still exist
    "2D": ErrorKind.LOST,  # invalid transaction termination
    "2F": ErrorKind.OURS,  # SQL routine exception
    "34": ErrorKind.LOST,  # invalid cursor name
    "38": ErrorKind.OURS,  # external routine exception
    "39": ErrorKind.OURS,  # external routine invocation exception
    "3B": ErrorKind.LOST,  # savepoint exception
    "3D": ErrorKind.REFUSED,  # invalid catalog name: no such database
    "3F": ErrorKind.STATE,  # invalid schema name
    "40": ErrorKind.CONFLICT,  # transaction rollback: serialization, deadlock
    "42": ErrorKind.OURS,  # syntax error or access rule violation
    "44": ErrorKind.OURS,  # WITH CHECK OPTION violation
    "53": ErrorKind.STATE,  # insufficient resources
    "54": ErrorKind.OURS,  # program limit exceeded
    "55": ErrorKind.STATE,  # object not in prerequisite state: locked, in use
    "57": ErrorKind.LOST,  # operator intervention
    "58": ErrorKind.LOST,  # system error outside of PostgreSQL
    "72": ErrorKind.CONFLICT,  # snapshot failure
    "F0": ErrorKind.REFUSED,  # configuration file error
    "HV": ErrorKind.OURS,  # foreign data wrapper error
    "P0": ErrorKind.UNKNOWN,  # PL/pgSQL error: somebody's trigger
    "XX": ErrorKind.UNKNOWN,  # internal error
}

SQLSTATES: Mapping[str, ErrorKind] = {
    "40003": ErrorKind.LOST,  # statement completion unknown
    "42501": ErrorKind.REFUSED,  # insufficient privilege
    "42703": ErrorKind.STATE,  # undefined column: being restored, or upgraded
    "42P01": ErrorKind.STATE,  # undefined table: the same
    "42P03": ErrorKind.LOST,  # duplicate cursor
    "42P05": ErrorKind.LOST,  # duplicate prepared statement: a pooler gave us another session
    "42P14": ErrorKind.LOST,  # invalid prepared statement definition
    "53200": ErrorKind.UNKNOWN,  # out of memory: one large value may be why
    "53300": ErrorKind.LOST,  # too many connections
    "54000": ErrorKind.DATA,  # program limit exceeded: a key too large for its index
    "57014": ErrorKind.CONFLICT,  # query canceled
    "XX001": ErrorKind.REFUSED,  # data corrupted
    "XX002": ErrorKind.REFUSED,  # index corrupted
}
"""Those that mean something else than their class."""

SQLITE_CODES: Mapping[int, ErrorKind] = {
    sqlite3.SQLITE_ERROR: ErrorKind.OURS,
    sqlite3.SQLITE_INTERNAL: ErrorKind.UNKNOWN,
    sqlite3.SQLITE_PERM: ErrorKind.REFUSED,
    sqlite3.SQLITE_ABORT: ErrorKind.CONFLICT,
    sqlite3.SQLITE_BUSY: ErrorKind.STATE,
    sqlite3.SQLITE_LOCKED: ErrorKind.STATE,
    sqlite3.SQLITE_NOMEM: ErrorKind.UNKNOWN,  # one large value may be why
    sqlite3.SQLITE_READONLY: ErrorKind.REFUSED,
    sqlite3.SQLITE_INTERRUPT: ErrorKind.CONFLICT,
    sqlite3.SQLITE_IOERR: ErrorKind.STATE,
    sqlite3.SQLITE_CORRUPT: ErrorKind.REFUSED,
    sqlite3.SQLITE_NOTFOUND: ErrorKind.OURS,
    sqlite3.SQLITE_FULL: ErrorKind.STATE,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.STATE,  # no folder, no right, or no file descriptor left
    sqlite3.SQLITE_PROTOCOL: ErrorKind.STATE,
    sqlite3.SQLITE_EMPTY: ErrorKind.UNKNOWN,
    sqlite3.SQLITE_SCHEMA: ErrorKind.CONFLICT,
    sqlite3.SQLITE_TOOBIG: ErrorKind.DATA,
    sqlite3.SQLITE_CONSTRAINT: ErrorKind.DATA,
    sqlite3.SQLITE_MISMATCH: ErrorKind.DATA,
    sqlite3.SQLITE_MISUSE: ErrorKind.OURS,
    sqlite3.SQLITE_NOLFS: ErrorKind.REFUSED,
    sqlite3.SQLITE_AUTH: ErrorKind.REFUSED,
    sqlite3.SQLITE_FORMAT: ErrorKind.UNKNOWN,
    sqlite3.SQLITE_RANGE: ErrorKind.OURS,
    sqlite3.SQLITE_NOTADB: ErrorKind.REFUSED,
    sqlite3.SQLITE_NOTICE: ErrorKind.UNKNOWN,
    sqlite3.SQLITE_WARNING: ErrorKind.UNKNOWN,
    sqlite3.SQLITE_BUSY_SNAPSHOT: ErrorKind.CONFLICT,
    sqlite3.SQLITE_READONLY_DBMOVED: ErrorKind.LOST,
    sqlite3.SQLITE_IOERR_NOMEM: ErrorKind.UNKNOWN,
}
"""Primary result codes, and the extended ones that mean something else."""

DRIVER_CLASSES: Mapping[str, ErrorKind] = {
    "DataError": ErrorKind.DATA,
    "IntegrityError": ErrorKind.DATA,
    "OperationalError": ErrorKind.LOST,  # libpq could not connect, or found the connection broken
    "InterfaceError": ErrorKind.LOST,
    "InternalError": ErrorKind.UNKNOWN,
    "ProgrammingError": ErrorKind.OURS,
    "NotSupportedError": ErrorKind.LOST,
    "DatabaseError": ErrorKind.UNKNOWN,
    "Error": ErrorKind.UNKNOWN,
}
"""Classes of the Python database API, for errors of which the database has said nothing itself."""

_UNBINDABLE = ("Error binding parameter", "cannot adapt type")


def kind_of(error: BaseException) -> ErrorKind:
    """What an error of SQLAlchemy, or of the driver itself, means; `UNKNOWN` if it is in no table."""
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error.orig, error.connection_invalidated)
    if isinstance(error, sqlite3.Error) or hasattr(error, "sqlstate"):
        return _of_driver(error, False)
    if isinstance(error, exc.StatementError) and error.orig is not None:
        return kind_of(error.orig)  # while the parameters were made ready
    if isinstance(error, exc.TimeoutError):
        return ErrorKind.STATE  # all connections of the pool are in use
    if isinstance(
        error, (exc.DisconnectionError, exc.ResourceClosedError, exc.PendingRollbackError, OSError)
    ):
        return ErrorKind.LOST
    if isinstance(error, (UnicodeError, OverflowError)):
        return ErrorKind.DATA
    return ErrorKind.UNKNOWN


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE that the PostgreSQL server gave; None if the error is not the server's."""
    code: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return code


def sqlite_code_of(error: BaseException) -> int | None:
    """SQLite's primary result code; None if the error is not SQLite's."""
    code: int | None = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _of_driver(error: BaseException | None, lost: bool) -> ErrorKind:
    sqlstate: str | None = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        known = SQLSTATES.get(sqlstate) or SQLSTATE_CLASSES.get(sqlstate[:2], ErrorKind.UNKNOWN)
        return ErrorKind.LOST if lost and known is not ErrorKind.REFUSED else known
    if lost:
        return ErrorKind.LOST
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE_CODES.get(code) or SQLITE_CODES.get(code & 0xFF, ErrorKind.UNKNOWN)
    if str(error).startswith(_UNBINDABLE):
        return ErrorKind.DATA
    kinds = (DRIVER_CLASSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in DRIVER_CLASSES)
    return next(kinds, ErrorKind.UNKNOWN)
