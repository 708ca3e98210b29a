"""One database behind a URL: connections, how a transaction begins, the one clock, what errors mean."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from quince_persistence.databases.error_codes import ErrorKind
from quince_persistence.databases.passwords import without_password
from quince_persistence.databases.sqlite_url import file_url, parse_file_url
from quince_persistence.errors import InvalidUrl, PersistenceError, RecordRefused, StoreUnavailable

EXAMPLES = "sqlite:///quince.sqlite or postgresql://user:password@host/database"


class Database(Protocol):
    """What the store needs of a kind of database."""

    @property
    def url(self) -> URL: ...

    def engine(self) -> Engine:
        """For reads: every statement sees what is committed when it starts."""

    def writer(self) -> Connection:
        """A new connection for writes."""

    def exclusive(self) -> AbstractContextManager[Any]:
        """Held around each read: keeps it apart from writes that share its connection, and from a fork."""

    def turn(self) -> AbstractContextManager[Any]:
        """Held around each write transaction; keeps the programs that write in order.

        Raises:
            StoreBusy: another program has had the turn for too long.
        """

    def begin(self, connection: Connection) -> tuple[float, Any]:
        """Begin to write. Returns the time by the store's clock, and a ticket for `was_committed`."""

    def committing(self, connection: Connection) -> AbstractContextManager[Any]:
        """Held around the last writes of a transaction, which it commits at its end.

        The writes may travel together with the commit: nothing can be read inside, and an error of one of
        them may come only at the end.
        """

    def was_committed(self, connection: Connection, ticket: Any) -> bool | None:
        """Whether a transaction whose commit got no answer was committed; None if that is not known yet.

        Not asked where `begin` gives no ticket: there, a commit that fails has not happened.
        """

    def lock_schema(self, connection: Connection) -> None:
        """Begin a transaction, until whose end no other program can make the schema."""

    def classify(self, error: Exception) -> ErrorKind:
        """What an error means that was raised while the database was used."""

    def explain(self, error: Exception) -> PersistenceError:
        """The error to raise for one of the driver: in a sentence with the way out, never with the
        password."""

    def size(self) -> int:
        """How many bytes it takes."""

    def vacuum(self) -> None:
        """Give back the room of what was deleted."""

    def drop(self, connection: Connection) -> None:
        """Close a connection of `writer`, whatever state it is in."""

    def dispose(self) -> None:
        """Close all connections; the next use opens new ones."""

    def abandon(self, writing: Sequence[Connection], *, quiet: bool) -> bool:
        """In a forked child: give the parent's connections up, without a word to the database.

        Args:
            writing: The connections of the parent's writers.
            quiet: No thread was inside SQLite when the process was forked.

        Returns:
            Whether this object can still be used (a database in memory); else a new one is needed.
        """


def parse(url: str) -> URL:
    """The parts of a URL.

    Raises:
        InvalidUrl: it is not a URL, or names a database that Quince does not use.
    """
    if (file := parse_file_url(url)) is not None:
        return file
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # what it says may quote the password
        raise InvalidUrl(
            f"{without_password(url)!r} is not a database URL; write it like {EXAMPLES}"
        ) from None
    kind, _, driver = parsed.drivername.partition("+")
    if kind in {"postgresql", "postgres"} and driver in {"", "psycopg"}:
        if _has_split_password(url, parsed):  # the driver would quote a part of it, as a host or a database
            raise InvalidUrl(
                f"{without_password(url)!r} is not a database URL: in a user name, a password or the name of "
                "a database @ is written %40, / %2F, ? %3F, # %23, : %3A and % %25"
            )
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidUrl(
        f"{without_password(url)}: Quince keeps processes in SQLite or in PostgreSQL (with psycopg 3), "
        f"not with {parsed.drivername}; write the URL like {EXAMPLES}"
    )


def discard(connection: Connection) -> None:
    """Close a connection without a word to the database."""
    with contextlib.suppress(SQLAlchemyError):
        connection.invalidate()
    with contextlib.suppress(SQLAlchemyError):
        connection.close()


def for_caller(database: Database, error: Exception) -> PersistenceError:
    """The error for callers of an open store: `RecordRefused` for their values, else `StoreUnavailable`."""
    said = database.explain(error)
    return said if isinstance(said, (RecordRefused, StoreUnavailable)) else StoreUnavailable(str(said))


def _has_split_password(url: str, parsed: URL) -> bool:
    """A character that should have been encoded has ended the user, or the password, before its end."""
    ats = url.partition("://")[2].partition("?")[0].count("@")
    anonymous, host, database = parsed.username is None, parsed.host or "", parsed.database or ""
    option = re.search(r"/.*\?.*=", str(parsed.password or ""))  # what was taken for a password has one
    return ats > (not anonymous) or "@" in host or (anonymous and ":" in database) or option is not None


def shown(url: URL) -> str:
    """A URL that has been parsed, without its password."""
    if url.drivername == "sqlite":
        return file_url(url.database) if url.database else "sqlite://"
    return without_password(url.render_as_string(hide_password=False))


def first_line(error: BaseException) -> str:
    """What the driver said, without the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    said = str(cause).strip()
    return said.splitlines()[0].rstrip(".") if said else type(cause).__name__
