"""The counter of pids in PostgreSQL, locked by somebody else, as by a transaction that was left open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url


@contextmanager
def locked_pids(url: str) -> Iterator[None]:
    """Nobody is given a pid for as long as the block lasts; all else goes on.

    Args:
        url: Of the store.
    """
    plain = make_url(url).set(drivername="postgresql", query={})
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        connection.execute("SELECT value FROM counters WHERE name = 'pid' FOR UPDATE")
        yield
