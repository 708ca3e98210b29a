"""What an error of a database, or of its driver, means: whose fault it is, and what helps.

One table for both backends. What is not in it is `UNKNOWN`: nobody's data is at fault until that is proven.

Source: https://www.postgresql.org/docs/current/errcodes-appendix.html, https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Mapping

from sqlalchemy import exc


class Trouble(enum.Enum):
    """What an error means for a transaction, and for those whose calls are in it.

    `DATA` alone is anybody's fault. All others pass, by themselves or when somebody has mended what they
    tell of: whoever asked is told `StoreUnavailable`, and asks again.
    """

    LOST = "the connection is gone or spoilt, or the server takes none now: a new one will do"
    CONFLICT = "another transaction was in the way: the same again will work"
    STATE = "the database cannot do it now (full, locked, out of memory, in the middle of being restored)"
    REFUSED = "it does not let us until somebody has mended that (login, rights, a damaged file)"
    OURS = "a statement that makes no sense to it: a fault of ours, or of who changed the schema"
    UNKNOWN = "nobody knows"
    DATA = "these values are not taken"

    @property
    def of_one(self) -> bool:
        """It may be the fault of one call among those of a transaction: the others are tried without it."""
        return self in {Trouble.OURS, Trouble.UNKNOWN, Trouble.DATA}


SQLSTATE_CLASSES: Mapping[str, Trouble] = {
    "00": Trouble.UNKNOWN,  # successful completion
    "01": Trouble.UNKNOWN,  # warning
    "02": Trouble.OURS,  # no data
    "03": Trouble.OURS,  # SQL statement not yet complete
    "08": Trouble.LOST,  # connection exception
    "09": Trouble.OURS,  # triggered action exception
    "0A": Trouble.LOST,  # feature not supported: a cached plan must not change its result type
    "0B": Trouble.LOST,  # invalid transaction initiation
    "0F": Trouble.OURS,  # locator exception
    "0L": Trouble.REFUSED,  # invalid grantor
    "0P": Trouble.REFUSED,  # invalid role specification
    "0Z": Trouble.OURS,  # diagnostics exception
    "10": Trouble.OURS,  # XQuery error
    "20": Trouble.OURS,  # case not found
    "21": Trouble.OURS,  # cardinality violation
    "22": Trouble.DATA,  # data exception
    "23": Trouble.DATA,  # integrity constraint violation
    "24": Trouble.LOST,  # invalid cursor state
    "25": Trouble.LOST,  # invalid transaction state: aborted, timed out, read-only (a standby)
    "26": Trouble.LOST,  # invalid SQL statement name: a pooler gave us another session
    "27": Trouble.OURS,  # triggered data change violation
    "28": Trouble.REFUSED,  # invalid authorization specification
    "2B": Trouble.OURS,  # dependent privilege descriptors still exist
    "2D": Trouble.LOST,  # invalid transaction termination
    "2F": Trouble.OURS,  # SQL routine exception
    "34": Trouble.LOST,  # invalid cursor name
    "38": Trouble.OURS,  # external routine exception
    "39": Trouble.OURS,  # external routine invocation exception
    "3B": Trouble.LOST,  # savepoint exception
    "3D": Trouble.REFUSED,  # invalid catalog name: no such database
    "3F": Trouble.STATE,  # invalid schema name
    "40": Trouble.CONFLICT,  # transaction rollback: serialization, deadlock
    "42": Trouble.OURS,  # syntax error or access rule violation
    "44": Trouble.OURS,  # WITH CHECK OPTION violation
    "53": Trouble.STATE,  # insufficient resources
    "54": Trouble.OURS,  # program limit exceeded
    "55": Trouble.STATE,  # object not in prerequisite state: locked, in use
    "57": Trouble.LOST,  # operator intervention
    "58": Trouble.LOST,  # system error outside of PostgreSQL
    "72": Trouble.CONFLICT,  # snapshot failure
    "F0": Trouble.REFUSED,  # configuration file error
    "HV": Trouble.OURS,  # foreign data wrapper error
    "P0": Trouble.UNKNOWN,  # PL/pgSQL error: somebody's trigger
    "XX": Trouble.UNKNOWN,  # internal error
}

SQLSTATES: Mapping[str, Trouble] = {
    "40003": Trouble.LOST,  # statement completion unknown
    "42501": Trouble.REFUSED,  # insufficient privilege
    "42703": Trouble.STATE,  # undefined column: being restored, or upgraded
    "42P01": Trouble.STATE,  # undefined table: the same
    "42P03": Trouble.LOST,  # duplicate cursor
    "42P05": Trouble.LOST,  # duplicate prepared statement: a pooler gave us another session
    "42P14": Trouble.LOST,  # invalid prepared statement definition
    "53200": Trouble.UNKNOWN,  # out of memory: one large value may be why
    "53300": Trouble.LOST,  # too many connections
    "54000": Trouble.DATA,  # program limit exceeded: a key too large for its index
    "57014": Trouble.CONFLICT,  # query canceled
    "XX001": Trouble.REFUSED,  # data corrupted
    "XX002": Trouble.REFUSED,  # index corrupted
}
"""Those that mean something else than their class."""

SQLITE_CODES: Mapping[int, Trouble] = {
    sqlite3.SQLITE_ERROR: Trouble.OURS,
    sqlite3.SQLITE_INTERNAL: Trouble.UNKNOWN,
    sqlite3.SQLITE_PERM: Trouble.REFUSED,
    sqlite3.SQLITE_ABORT: Trouble.CONFLICT,
    sqlite3.SQLITE_BUSY: Trouble.STATE,
    sqlite3.SQLITE_LOCKED: Trouble.STATE,
    sqlite3.SQLITE_NOMEM: Trouble.UNKNOWN,  # one large value may be why
    sqlite3.SQLITE_READONLY: Trouble.REFUSED,
    sqlite3.SQLITE_INTERRUPT: Trouble.CONFLICT,
    sqlite3.SQLITE_IOERR: Trouble.STATE,
    sqlite3.SQLITE_CORRUPT: Trouble.REFUSED,
    sqlite3.SQLITE_NOTFOUND: Trouble.OURS,
    sqlite3.SQLITE_FULL: Trouble.STATE,
    sqlite3.SQLITE_CANTOPEN: Trouble.STATE,  # no folder, no right, or no file descriptor left
    sqlite3.SQLITE_PROTOCOL: Trouble.STATE,
    sqlite3.SQLITE_EMPTY: Trouble.UNKNOWN,
    sqlite3.SQLITE_SCHEMA: Trouble.CONFLICT,
    sqlite3.SQLITE_TOOBIG: Trouble.DATA,
    sqlite3.SQLITE_CONSTRAINT: Trouble.DATA,
    sqlite3.SQLITE_MISMATCH: Trouble.DATA,
    sqlite3.SQLITE_MISUSE: Trouble.OURS,
    sqlite3.SQLITE_NOLFS: Trouble.REFUSED,
    sqlite3.SQLITE_AUTH: Trouble.REFUSED,
    sqlite3.SQLITE_FORMAT: Trouble.UNKNOWN,
    sqlite3.SQLITE_RANGE: Trouble.OURS,
    sqlite3.SQLITE_NOTADB: Trouble.REFUSED,
    sqlite3.SQLITE_NOTICE: Trouble.UNKNOWN,
    sqlite3.SQLITE_WARNING: Trouble.UNKNOWN,
    sqlite3.SQLITE_BUSY_SNAPSHOT: Trouble.CONFLICT,
    sqlite3.SQLITE_READONLY_DBMOVED: Trouble.LOST,
    sqlite3.SQLITE_IOERR_NOMEM: Trouble.UNKNOWN,
}
"""Primary result codes, and the extended ones that mean something else."""

DRIVER_CLASSES: Mapping[str, Trouble] = {
    "DataError": Trouble.DATA,
    "IntegrityError": Trouble.DATA,
    "OperationalError": Trouble.LOST,  # libpq could not connect, or found the connection broken
    "InterfaceError": Trouble.LOST,
    "InternalError": Trouble.UNKNOWN,
    "ProgrammingError": Trouble.OURS,
    "NotSupportedError": Trouble.LOST,
    "DatabaseError": Trouble.UNKNOWN,
    "Error": Trouble.UNKNOWN,
}
"""Classes of the Python database API, for errors of which the database has said nothing itself."""

_UNBINDABLE = ("Error binding parameter", "cannot adapt type")


def trouble_of(error: BaseException) -> Trouble:
    """What it means."""
    if isinstance(error, exc.DBAPIError):
        return _of_driver(error.orig, error.connection_invalidated)
    if isinstance(error, sqlite3.Error) or hasattr(error, "sqlstate"):
        return _of_driver(error, False)
    if isinstance(error, exc.StatementError) and error.orig is not None:
        return trouble_of(error.orig)  # while the parameters were made ready
    if isinstance(error, exc.TimeoutError):
        return Trouble.STATE  # all connections of the pool are in use
    if isinstance(
        error, (exc.DisconnectionError, exc.ResourceClosedError, exc.PendingRollbackError, OSError)
    ):
        return Trouble.LOST
    if isinstance(error, (UnicodeError, OverflowError)):
        return Trouble.DATA
    return Trouble.UNKNOWN


def sqlstate_of(error: BaseException) -> str | None:
    """What the PostgreSQL server has said; None if it has said nothing."""
    code: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return code


def sqlite_code_of(error: BaseException) -> int | None:
    """SQLite's primary result code; None if it was not SQLite that failed."""
    code: int | None = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _of_driver(error: BaseException | None, lost: bool) -> Trouble:
    sqlstate: str | None = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        known = SQLSTATES.get(sqlstate) or SQLSTATE_CLASSES.get(sqlstate[:2], Trouble.UNKNOWN)
        return Trouble.LOST if lost and known is not Trouble.REFUSED else known
    if lost:
        return Trouble.LOST
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE_CODES.get(code) or SQLITE_CODES.get(code & 0xFF, Trouble.UNKNOWN)
    if str(error).startswith(_UNBINDABLE):
        return Trouble.DATA
    kinds = (DRIVER_CLASSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in DRIVER_CLASSES)
    return next(kinds, Trouble.UNKNOWN)
