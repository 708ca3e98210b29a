"""Several reads as one message to the database and one answer, where its driver can do that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
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
    psycopg: Any = connection.dialect.loaded_dbapi
    if connection.dialect.name != "postgresql" or not psycopg.Pipeline.is_supported():
        return [connection.execute(statement, parameters).all() for statement, parameters in asked]
    driver: Any = connection.connection.driver_connection
    try:
        with driver.pipeline():
            cursors = [
                driver.cursor().execute(_text(statement, connection.dialect), parameters)
                for statement, parameters in asked
            ]
        return [cursor.fetchall() for cursor in cursors]
    except psycopg.Error as error:
        lost = bool(driver.closed)
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error


@cache
def _text(statement: ClauseElement, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect))
