"""Whose fault an error is: a walk over all that PostgreSQL, SQLite and their drivers can say."""

from __future__ import annotations

import inspect
import sqlite3
from itertools import chain

import psycopg
import pytest
from psycopg import errors as sqlstates
from sqlalchemy import exc

from quince_persistence.databases.database import for_caller
from quince_persistence.databases.error_codes import (
    SQLITE_CODES,
    SQLSTATE_CLASSES,
    SQLSTATES,
    ErrorKind,
    kind_of,
)
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import RecordRefused, StoreUnavailable
from quince_persistence.writing.throttled_log import MINUTE, ThrottledLog

APPENDIX_A = [
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21",
    "22", "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D",
    "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
]  # fmt: skip
OF_VALUES = ("22", "23")
KNOWN = {
    "08006": ErrorKind.LOST, "0A000": ErrorKind.LOST, "25006": ErrorKind.LOST, "25P02": ErrorKind.LOST,
    "25P03": ErrorKind.LOST, "25P04": ErrorKind.LOST, "26000": ErrorKind.LOST, "28P01": ErrorKind.REFUSED,
    "3D000": ErrorKind.REFUSED, "40001": ErrorKind.CONFLICT, "40P01": ErrorKind.CONFLICT,
    "42501": ErrorKind.REFUSED,
    "42601": ErrorKind.OURS, "42P05": ErrorKind.LOST, "53100": ErrorKind.STATE, "53300": ErrorKind.LOST,
    "55006": ErrorKind.STATE, "55P03": ErrorKind.STATE, "57014": ErrorKind.CONFLICT, "57P01": ErrorKind.LOST,
    "57P03": ErrorKind.LOST, "57P05": ErrorKind.LOST, "58030": ErrorKind.LOST, "ZZ999": ErrorKind.UNKNOWN,
}  # fmt: skip


def said_by_server(code: str) -> exc.DBAPIError:
    kind = type("Said", (psycopg.DatabaseError,), {"sqlstate": code})
    return exc.DBAPIError("SELECT 1", {}, kind("it says so"))


def sqlite_says(code: int) -> exc.DBAPIError:
    error = sqlite3.DatabaseError("it says so")
    error.sqlite_errorcode = code
    return exc.DBAPIError("SELECT 1", {}, error)


def every_sqlstate() -> set[str]:
    named = {str(kind.sqlstate) for _, kind in inspect.getmembers(sqlstates, _has_code)}
    return named | {f"{one}000" for one in APPENDIX_A}


def _has_code(kind: object) -> bool:
    return inspect.isclass(kind) and isinstance(getattr(kind, "sqlstate", None), str)


def test_every_class_of_sqlstates_is_in_the_table() -> None:
    assert set(SQLSTATE_CLASSES) == set(APPENDIX_A)
    assert {code[:2] for code in every_sqlstate()} <= set(SQLSTATE_CLASSES)
    assert {code[:2] for code in SQLSTATES} <= set(SQLSTATE_CLASSES)


def test_only_what_is_of_the_values_is_blamed_on_them() -> None:
    """Whoever asked is told to ask again, unless it is proven that his values are at fault."""
    for code in every_sqlstate():
        assert _blames(said_by_server(code)) is (code[:2] in OF_VALUES or code == "54000"), code
    for number in _sqlite_codes():
        primary = number & 0xFF
        of_values = primary in {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
        assert _blames(sqlite_says(number)) is of_values, number


def _blames(error: Exception) -> bool:
    """Whether callers of an open store are told that their values are at fault; on both backends alike."""
    answers = [for_caller(database_of(url), error) for url in ("sqlite://", "postgresql://u:secret@h/d")]
    assert all(isinstance(answer, (RecordRefused, StoreUnavailable)) for answer in answers)
    assert not any("secret" in str(answer) for answer in answers)
    (blamed,) = {isinstance(answer, RecordRefused) for answer in answers}
    return blamed


def _sqlite_codes() -> set[int]:
    named = {value for name, value in vars(sqlite3).items() if name.startswith("SQLITE_")}
    codes = {value for value in named if isinstance(value, int) and value & 0xFF in _primary()}
    assert _primary() <= codes
    return codes | set(SQLITE_CODES)


def _primary() -> set[int]:
    return set(range(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_WARNING + 1))


def test_every_result_code_of_sqlite_is_in_the_table() -> None:
    assert _primary() <= set(SQLITE_CODES)


@pytest.mark.parametrize(("code", "kind"), KNOWN.items())
def test_sqlstates_that_have_hurt(code: str, kind: ErrorKind) -> None:
    assert kind_of(said_by_server(code)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError("connection refused"), ErrorKind.LOST),
        (sqlstates.ConnectionTimeout("connection timeout expired"), ErrorKind.LOST),
        (psycopg.errors.PipelineAborted("pipeline aborted"), ErrorKind.LOST),
        (psycopg.InterfaceError("the connection is closed"), ErrorKind.LOST),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), ErrorKind.DATA),
        (psycopg.ProgrammingError("cannot adapt type 'object' using placeholder '%s'"), ErrorKind.DATA),
        (psycopg.ProgrammingError("the query has 0 placeholders but 1 parameters"), ErrorKind.OURS),
        (psycopg.NotSupportedError("no pipeline"), ErrorKind.LOST),
        (psycopg.InternalError("?"), ErrorKind.UNKNOWN),
        (psycopg.Error("?"), ErrorKind.UNKNOWN),
        (
            sqlite3.ProgrammingError("Error binding parameter 1: type 'x' is not supported"),
            ErrorKind.DATA,
        ),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), ErrorKind.OURS),
        (sqlite3.OperationalError("?"), ErrorKind.LOST),
    ],
)
def test_what_the_drivers_say_themselves(error: Exception, kind: ErrorKind) -> None:
    assert kind_of(error) is kind
    assert kind_of(exc.DBAPIError("SELECT 1", {}, error)) is kind
    if kind is not ErrorKind.DATA:
        assert kind_of(exc.DBAPIError("SELECT 1", {}, error, connection_invalidated=True)) is ErrorKind.LOST


def test_the_table_knows_every_class_of_the_drivers() -> None:
    kinds = chain(inspect.getmembers(psycopg.errors), inspect.getmembers(sqlite3))
    for _, kind in kinds:
        if inspect.isclass(kind) and issubclass(kind, (psycopg.Error, sqlite3.Error)):
            assert kind_of(exc.DBAPIError("SELECT 1", {}, kind("?"))) in ErrorKind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exc.TimeoutError("QueuePool limit of size 5 overflow 20 reached"), ErrorKind.STATE),
        (exc.PendingRollbackError("?"), ErrorKind.LOST),
        (exc.ResourceClosedError("?"), ErrorKind.LOST),
        (exc.InvalidRequestError("?"), ErrorKind.UNKNOWN),
        (OSError(24, "Too many open files"), ErrorKind.LOST),
        (ConnectionResetError(), ErrorKind.LOST),
        (TimeoutError(), ErrorKind.LOST),
        (MemoryError(), ErrorKind.UNKNOWN),
        (RecursionError(), ErrorKind.UNKNOWN),
        (KeyError("a fault of ours"), ErrorKind.UNKNOWN),
        (TypeError("a fault of ours"), ErrorKind.UNKNOWN),
        (ValueError("a fault of ours"), ErrorKind.UNKNOWN),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), ErrorKind.DATA),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), ErrorKind.DATA),
        (exc.StatementError("?", "SELECT 1", {}, OverflowError("too large")), ErrorKind.DATA),
        (exc.StatementError("?", "SELECT 1", {}, KeyError("a fault of ours")), ErrorKind.UNKNOWN),
    ],
)
def test_what_neither_server_nor_driver_has_said(error: Exception, kind: ErrorKind) -> None:
    assert kind_of(error) is kind
    assert _blames(error) is (kind is ErrorKind.DATA)


def test_what_lasts_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    throttled = ThrottledLog("quince.store", lambda: now)
    for _ in range(3):
        for moment in (0.0, 1.0, MINUTE - 1, MINUTE, MINUTE + 1):
            now = moment
            throttled.warn("the database is away: %(reason)s", reason="connection refused")
    throttled.warn("the database is away: %(reason)s", reason="something else")
    assert [record.message for record in caplog.records] == [
        "the database is away: connection refused",
        "the database is away: connection refused",
        "the database is away: something else",
    ]
