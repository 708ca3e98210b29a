"""Which kind of database a URL means."""

from __future__ import annotations

from quince_persistence.databases.database import Database, parse
from quince_persistence.databases.postgresql import PostgreSQL
from quince_persistence.databases.sqlite import BUSY_SECONDS, SQLite


def database_of(url: str, *, patience: float = BUSY_SECONDS) -> Database:
    """The database behind a URL; nothing is opened.

    Args:
        patience: Seconds to wait for a lock of SQLite, at most `BUSY_SECONDS`.

    Raises:
        InvalidUrl: not a URL of SQLite or PostgreSQL.
    """
    parsed = parse(url)
    if parsed.drivername == "sqlite":
        return SQLite(parsed, busy_seconds=min(patience, BUSY_SECONDS))
    return PostgreSQL(parsed)
