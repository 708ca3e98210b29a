"""Sessions with a PostgreSQL server, set as the store needs them, whatever server, role and pooler say.

Two ways. Connected to the server itself, a session is given its settings when it begins, and keeps them.
Behind a pooler that gives each transaction another session (PgBouncer with `pool_mode = transaction`), the
settings do not arrive, and what is set would go to another program: there, each transaction sets its own, and
no statement is prepared.

Source: https://www.postgresql.org/docs/current/runtime-config-client.html,
https://www.pgbouncer.org/features.html
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from quince_persistence.errors import InvalidUrl, NotAStore
from quince_persistence.schema.tables import schema

LOCK_SECONDS = 10
"""How long a statement waits for the lock of another session; then it fails, and may be tried again."""

OLDEST = 13
"""Versions before it do not know `pg_current_xact_id`."""

_MARK = "quince.session"
_NEEDED = {
    "default_transaction_isolation": "read committed",  # what must not change is locked
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10000",  # a writer that is cut off must not hold its locks
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",  # else times lose their last digits
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    _MARK: "1",  # tells whether the settings have arrived
}
_NEEDED_SINCE = {"idle_session_timeout": (14, "0"), "transaction_timeout": (17, "0")}
_NEEDED_EACH_TIME = (
    "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "bytea_output",
    "extra_float_digits", "search_path", "synchronous_commit",
)  # fmt: skip

_ASK = f"""
SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
    current_setting('{_MARK}', true) = '1', current_setting('synchronous_commit'), current_schema(),
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AND current_schema() NOT LIKE 'pg\\_%',
    (SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass('{schema.name}')),
    ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = '{schema.name}' AND c.relkind IN ('r', 'p') AND has_schema_privilege(n.oid, 'USAGE')
        ORDER BY 1)
"""


class Sessions:
    """How sessions with one database begin. What is learned with the first holds for all.

    Args:
        where: The URL, to be shown.
        options: What the URL gives the server to set; what the store needs comes after it.
    """

    def __init__(self, where: str, options: str) -> None:
        self.pooled = False
        self._where = where
        self._options = options
        self._learned: dict[str, str] | None = None

    def connect(self, psycopg: Any, arguments: dict[str, Any]) -> Any:
        """A new connection of the driver.

        Raises:
            InvalidUrl, NotAStore: the database cannot be used.
            psycopg.Error: the server does not answer, or refuses.
        """
        connection = self._connected(psycopg, {**arguments, "client_encoding": "utf8"})
        try:
            if self._learned is None:
                self._learn(connection)
            if self.pooled:
                connection.prepare_threshold = None
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, connection: Connection, *, write: bool) -> None:
        """Begin a transaction in which all is set, behind a pooler."""
        learned, access = self._learned or {}, "WRITE" if write else "ONLY"
        connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL READ COMMITTED READ {access}")
        set_ = [f"set_config('{name}', {_quoted(learned[name])}, true)" for name in _NEEDED_EACH_TIME]
        connection.exec_driver_sql(f"SELECT {', '.join(set_)}")

    def _connected(self, psycopg: Any, arguments: dict[str, Any]) -> Any:
        if not self.pooled:
            try:
                return psycopg.connect(**arguments, options=self._all_options())
            except psycopg.OperationalError as error:
                if self._learned is not None or "unsupported startup parameter" not in str(error):
                    raise
                self.pooled = True
        return psycopg.connect(**arguments)

    def _all_options(self) -> str:
        needed = (_option(name, value) for name, value in (self._learned or _NEEDED).items())
        return " ".join([_option("lock_timeout", f"{LOCK_SECONDS}s"), self._options, *needed])

    def _learn(self, connection: Any) -> None:
        autocommit, connection.autocommit = connection.autocommit, True
        row = connection.execute(_ASK, prepare=False).fetchone()
        version, encoding, arrived, synchronous, current, may_create, found, all_found = row
        if version < OLDEST:
            raise InvalidUrl(f"{self._where} is PostgreSQL {version}; Quince needs {OLDEST} or newer")
        if encoding != "UTF8":
            raise InvalidUrl(
                f"{self._where} keeps text as {encoding}; Quince needs a database that keeps it as UTF8: "
                "`createdb --encoding UTF8 --template template0 NAME`"
            )
        self.pooled = not arrived
        more = {name: value for name, (since, value) in _NEEDED_SINCE.items() if version >= since}
        more["synchronous_commit"] = "on" if synchronous == "off" else synchronous
        place = found or self._place(current, may_create, all_found)
        more["search_path"] = '"' + place.replace('"', '""') + '"'
        if self.pooled:
            more["lock_timeout"] = f"{LOCK_SECONDS}s"
        else:
            calls = ", ".join(
                f"set_config('{name}', {_quoted(value)}, false)" for name, value in more.items()
            )
            connection.execute(f"SELECT {calls}", prepare=False)
        self._learned = {**_NEEDED, **more}
        connection.autocommit = autocommit

    def _place(self, current: str | None, may_create: bool, found: list[str]) -> str:
        """The schema of the store if it is not where this role looks: where it is, or where one can be made.

        Raises:
            InvalidUrl: the schema that the URL names is not there.
            NotAStore: it is not certain which is meant.
        """
        if "search_path" in self._options:
            if current is None:
                raise InvalidUrl(f"{self._where}: there is no such schema; make it (CREATE SCHEMA)")
            return current
        if not found:
            return current if current is not None and may_create else "public"
        if len(found) == 1 and not may_create:
            return found[0]
        raise NotAStore(
            f"{self._where} holds a store in the schema {', '.join(found)}, but this user looks in "
            f"{current or 'none'} (its search_path); name the schema that is meant in the URL: "
            f"?options=-csearch_path%3D{found[0]}"
        )


def _option(name: str, value: str) -> str:
    """As the server takes it in `options`."""
    escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
    return f"-c {name}={escaped}"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
