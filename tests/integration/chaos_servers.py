"""What befalls PostgreSQL and RabbitMQ in a run of chaos, beside dying: they answer oddly, or not at all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psycopg

from tests.integration.chaos_battle import Battle, Fault
from tests.integration.messaging.proxy import Proxy
from tests.services import Postgres, RabbitMQ

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname LIKE 'test_%'"
)
BAD_MANNERS = {
    "lock_timeout": "300ms",
    "statement_timeout": "3s",
    "idle_in_transaction_session_timeout": "1s",
    "default_transaction_isolation": "serializable",
    "client_encoding": "latin1",
    "search_path": "nowhere",
}
"""Defaults that somebody's database may have; our sessions have to set what they need."""


class PostgresFaults:
    """PostgreSQL dies, is slow to answer or silent, is locked, closed and full, and has odd defaults.

    Args:
        server: The one that is hurt.
        proxy: Between the workers and it.
    """

    def __init__(self, battle: Battle, server: Postgres, proxy: Proxy) -> None:
        self._battle = battle
        self._server = server
        self._proxy = proxy
        self._database = battle.location.store.rpartition("/")[2]
        for name, value in BAD_MANNERS.items():
            server.sql(f"ALTER DATABASE {self._database} SET {name} = '{value}'")
        server.sql(TERMINATE)

    def all(self) -> Sequence[Fault]:
        return [
            self.restart,
            self.kill,
            self.terminate_backends,
            self.terminate_backends,
            self.terminate_backends,
            self.swallow_answers,
            self.swallow_answers,
            self.lock_tables,
            self.vacuum,
            self.refuse_connections,
            self.exhaust_connections,
        ]

    def restart(self) -> None:
        self._battle.story.fault("PostgreSQL restarted", "PostgreSQL is restarted")
        self._server.restart()

    def kill(self) -> None:
        self._battle.story.fault("PostgreSQL killed and started", "PostgreSQL is killed and started")
        self._server.kill()
        self._server.start()

    def terminate_backends(self) -> None:
        self._battle.story.fault("database connections cut", "every connection to PostgreSQL is terminated")
        self._server.sql(TERMINATE)

    def swallow_answers(self) -> None:
        """What the workers write is done, and they do not hear of it."""
        seconds = self._battle.moment(15.0)
        self._battle.story.fault(
            "answers swallowed", f"for {seconds:.1f} s no answer of PostgreSQL reaches a worker"
        )
        self._battle.cut_off(seconds)
        self._proxy.swallow()
        time.sleep(seconds)
        self._proxy.swallow(False)

    def lock_tables(self) -> None:
        """As a migration by hand, or `pg_dump` and a column that is added, do."""
        seconds = self._battle.moment(9.0)
        self._battle.story.fault("tables locked", f"all tables are locked for {seconds:.1f} s")
        self._battle.cut_off(seconds)
        with self._connect() as connection:
            tables = connection.execute(
                "SELECT string_agg(quote_ident(schemaname) || '.' || quote_ident(tablename), ', ') "
                "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchone()
            assert tables is not None
            with contextlib.suppress(psycopg.errors.DeadlockDetected), connection.transaction():
                connection.execute(f"LOCK TABLE {tables[0]} IN ACCESS EXCLUSIVE MODE".encode())
                time.sleep(seconds)

    def vacuum(self) -> None:
        self._battle.story.fault("VACUUM FULL", "VACUUM FULL of the whole database")
        with self._connect() as connection, contextlib.suppress(psycopg.errors.DeadlockDetected):
            connection.execute("VACUUM FULL")

    def refuse_connections(self) -> None:
        """An administrator closes the database for a while: SQLSTATE 55000."""
        seconds = self._battle.moment(5.0)
        self._battle.story.fault("database closed", f"the database takes no connections for {seconds:.1f} s")
        self._server.sql(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
        self._server.sql(TERMINATE)
        time.sleep(seconds)
        self._server.sql(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")

    def exhaust_connections(self) -> None:
        """Other programs have all connections, those for the superuser too: SQLSTATE 53300."""
        seconds = self._battle.moment(5.0)
        self._battle.story.fault("connections exhausted", f"no connection is free for {seconds:.1f} s")
        with contextlib.ExitStack() as stack:
            self._server.sql(TERMINATE)
            until = time.monotonic() + seconds
            while True:
                try:
                    stack.enter_context(contextlib.closing(self._server.connect()))
                except psycopg.OperationalError:
                    if time.monotonic() > until:
                        return
                    time.sleep(0.05)

    def _connect(self) -> psycopg.Connection:
        connection = self._server.connect(self._database)
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f"SET {name} = 0".encode())
        return connection


class RabbitFaults:
    """RabbitMQ dies, forgets who may do what, and has no memory left."""

    def __init__(self, battle: Battle, server: RabbitMQ) -> None:
        self._battle = battle
        self._server = server
        self._vhost = battle.location.broker.rpartition("/")[2]

    def all(self) -> Sequence[Fault]:
        return [self.restart, self.kill, self.revoke_rights, self.run_out_of_memory]

    def restart(self) -> None:
        self._battle.story.fault("RabbitMQ restarted", "RabbitMQ is restarted")
        self._server.restart()

    def kill(self) -> None:
        self._battle.story.fault("RabbitMQ killed and started", "RabbitMQ is killed and started")
        self._server.kill()
        self._server.start()

    def revoke_rights(self) -> None:
        """Whoever connects, or opens a channel, meanwhile is refused (403)."""
        self._battle.story.fault("rights revoked", "the broker lets nobody do anything for a while")
        self._server.ctl("clear_permissions", "-p", self._vhost, "guest")
        self._server.ctl("close_all_connections", "-p", self._vhost, "chaos")
        time.sleep(self._battle.moment(9.0))
        self._server.ctl("set_permissions", "-p", self._vhost, "guest", ".*", ".*", ".*")

    def run_out_of_memory(self) -> None:
        """An alarm: whoever publishes is blocked, and nobody is told an error."""
        self._battle.story.fault("broker blocked", "the broker has no memory left for a while")
        self._server.ctl("set_vm_memory_high_watermark", "0.0001")
        time.sleep(self._battle.moment(6.0))
        self._server.ctl("set_vm_memory_high_watermark", "0.4")
