"""A table of PostgreSQL on which somebody else holds a lock, as VACUUM FULL or ALTER TABLE does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Nobody reads or writes the table for as long as the block lasts.

    Args:
        url: Of the store.
    """
    plain = make_url(url).set(drivername="postgresql", query={})
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
