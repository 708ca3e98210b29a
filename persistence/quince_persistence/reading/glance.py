"""A glance at a store, for who completes words: without SQLAlchemy, and never longer than a moment.

It reads names alone, of the newest processes where there are many; an older or newer schema, or none, gives
an error of the driver, which whoever asks takes for "nothing is known".
"""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quince_persistence.databases.sqlite_url import file_of, quoted

SECONDS = 1
NEWEST = 2000
_ROWS = "SELECT pid, class_path, state, key, queue FROM processes"
_FAILED = "(state IN ('excepted', 'killed') OR exit_status <> 0)"  # in the words of its index
QUERIES = {
    "newest": f"{_ROWS} ORDER BY pid DESC LIMIT {NEWEST}",
    "live": f"{_ROWS} WHERE state IN ('created', 'running', 'waiting') LIMIT {NEWEST}",
    "paused": f"{_ROWS} WHERE paused LIMIT {NEWEST}",
    "to be retried": (  # two looks, each by its index
        f"SELECT * FROM ({_ROWS} WHERE paused LIMIT {NEWEST}) AS held UNION ALL "
        f"SELECT * FROM ({_ROWS} WHERE {_FAILED} ORDER BY pid DESC LIMIT {NEWEST}) AS failed"
    ),
    "by pid": f"{_ROWS} WHERE pid = {{0}}",
    "by key": f"{_ROWS} WHERE key = {{0}}",
    "signals": "SELECT signals FROM processes WHERE state = 'waiting' AND signals IS NOT NULL LIMIT 500",
    "labels": f"SELECT name, value FROM labels ORDER BY pid DESC LIMIT {NEWEST}",
    "limits": "SELECT name FROM limits ORDER BY name LIMIT 500",
    "schedules": "SELECT name FROM schedules ORDER BY name LIMIT 500",
    "queues": "SELECT queues FROM workers",
    "workers": "SELECT name FROM workers",
}


@contextmanager
def glance(url: str) -> Iterator[Glance]:
    """A connection to the store of a URL that reads, and waits for nobody.

    Raises:
        OSError, ValueError, the driver's own: it is away, or no store.
    """
    if (file := file_of(url)) is not None:
        connection: Any = sqlite3.connect(f"file:{quoted(file)}?mode=ro", uri=True, timeout=0.2)
        mark = "?"
    elif url.startswith("postgresql"):
        psycopg = importlib.import_module("psycopg")
        plain = re.sub(r"^postgresql\+\w+:", "postgresql:", url)
        patience = f"-c statement_timeout={SECONDS * 500} -c default_transaction_read_only=on"
        connection = psycopg.connect(plain, connect_timeout=SECONDS, options=patience)
        mark = "%s"
    else:
        raise ValueError("it is no store that others could see")
    try:
        yield Glance(connection, mark)
    finally:
        connection.close()


class Glance:
    """What `glance` gives.

    Args:
        connection: Of the driver.
        mark: What stands for a parameter.
    """

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self._mark = mark

    def rows(self, what: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """What one of `QUERIES` finds."""
        text = QUERIES[what].format(self._mark)
        found: Sequence[tuple[Any, ...]] = self._connection.execute(text, parameters).fetchall()
        return found
