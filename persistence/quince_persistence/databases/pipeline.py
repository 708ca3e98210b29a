"""Several statements as one message to the database and one answer, where its driver can do that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Asked = tuple[Any, Mapping[str, Any]]
"""A statement, and its parameters as the driver takes them."""


def fetch(connection: Connection, *asked: Asked) -> list[Sequence[Any]]:
    """The rows of each of these, executed one after the other: each sees what was committed when the one
    before it, and its locks, had come to an end.

    Raises:
        DBAPIError: as if they had been executed one by one.
    """
    if not in_one_go(connection):
        return [connection.execute(statement, parameters).all() for statement, parameters in asked]
    with pipeline(connection) as driver:
        cursors = [
            driver.cursor().execute(_text(statement, connection.dialect), parameters)
            for statement, parameters in asked
        ]
    return [cursor.fetchall() for cursor in cursors]


def execute_many(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a write for each of these rows of parameters, which all have the same names.

    The values go to the driver as they are, each kind of which it knows: SQLAlchemy would take longer to
    look at them than the database to write them.

    Raises:
        DBAPIError: as if it had been executed by SQLAlchemy.
    """
    if rows:
        text, values_of = _prepared(statement, connection.dialect, tuple(rows[0]))
        connection.exec_driver_sql(text, list(map(values_of, rows)))


def execute_for_each(
    connection: Connection, statement: Any, things: Sequence[object], names: Mapping[str, str]
) -> None:
    """Execute a write for each of these things, as `execute_many` does, without a mapping made of each.

    Args:
        names: The attribute of the thing, by the name of the parameter; two at least.
    """
    compiled = _compiled(statement, connection.dialect, tuple(names))
    order = compiled.positiontup
    values = list(map(attrgetter(*(names[name] for name in order or names)), things))
    connection.exec_driver_sql(
        str(compiled), values if order else [dict(zip(names, row, strict=True)) for row in values]
    )


def fetch_bytes(connection: Connection, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """The rows of a statement that reads large values: as bytes, where the driver would read them as text of
    twice the length, and take many times as long.

    Raises:
        DBAPIError: as if it had been executed by SQLAlchemy.
    """
    if connection.dialect.name != "postgresql":
        return connection.execute(statement, parameters).all()
    if not connection.in_transaction():
        connection.begin()  # behind a pooler, that gives the session what it needs
    with _wrapped(connection) as driver:
        text = _text(statement, connection.dialect)
        rows: Sequence[Any] = driver.cursor(binary=True).execute(text, parameters).fetchall()
        return rows


def in_one_go(connection: Connection) -> bool:
    """Whether the driver can send several statements before it reads an answer."""
    psycopg: Any = connection.dialect.loaded_dbapi
    return connection.dialect.name == "postgresql" and bool(psycopg.Pipeline.is_supported())


@contextmanager
def pipeline(connection: Connection) -> Iterator[Any]:
    """The driver's connection; what is executed on it inside is sent without waiting for answers, which
    have all come at the end.

    Nothing inside may wait for an answer by `commit()` or `Pipeline.sync()`: psycopg then waits for it
    without having sent all that it was asked to, and so for ever, as soon as that is more than the
    buffers of the socket hold. The end of the pipeline sends all, and reads meanwhile.

    Raises:
        DBAPIError: what a statement was answered.
    """
    psycopg: Any = connection.dialect.loaded_dbapi
    with _wrapped(connection) as driver:
        block = driver.pipeline()
        block.__enter__()
        try:
            yield driver
        except BaseException:
            with contextlib.suppress(psycopg.Error):  # what there was to say was said
                block.__exit__(None, None, None)
            raise
        block.__exit__(None, None, None)


@contextmanager
def _wrapped(connection: Connection) -> Iterator[Any]:
    """The driver's connection, whose errors become SQLAlchemy's."""
    psycopg: Any = connection.dialect.loaded_dbapi
    driver: Any = connection.connection.driver_connection
    try:
        yield driver
    except psycopg.Error as error:
        lost = bool(driver.closed)
        if lost:
            connection.invalidate()
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error


@cache
def _text(statement: ClauseElement, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect))


@cache
def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> Any:
    """A statement as the driver takes it, with values of these names. Its `positiontup` has the names in the
    order in which the driver wants their values; None: it wants them by name."""
    return statement.compile(dialect=dialect, column_keys=list(names))


@cache
def _prepared(
    statement: Any, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The text of a statement, and what makes of a row all that it takes."""
    compiled = _compiled(statement, dialect, names)
    constant = {name: value for name, value in compiled.params.items() if name not in names}
    order = compiled.positiontup
    if order is None:
        return str(compiled), (lambda row: constant | row) if constant else lambda row: row
    if constant or len(order) == 1:
        return str(compiled), lambda row: tuple([(constant | row)[name] for name in order])
    return str(compiled), itemgetter(*order)
