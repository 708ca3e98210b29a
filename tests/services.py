"""Private RabbitMQ and PostgreSQL servers for tests and benchmarks.

They are started from the installed binaries on free ports, in temporary folders, and touch no
server that was there before. A watchdog takes them down even if this program is killed.

    with rabbitmq() as broker, postgres() as database:
        broker.new_uri()      # a fresh virtual host:  amqp://guest:guest@127.0.0.1:PORT/NAME
        database.new_url()    # a fresh, empty database: postgresql+psycopg://quince@127.0.0.1:PORT/NAME

`python -m tests.services` starts both, prints a URL of each, and stops them at Ctrl-C.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from tests.server import Server, ServiceFailed, ServiceMissing, free_port, plain_environment

__all__ = [
    "PgBouncer",
    "Postgres",
    "RabbitMQ",
    "ServiceFailed",
    "ServiceMissing",
    "both",
    "free_port",
    "postgres",
    "rabbitmq",
]


class Postgres(Server):
    """A private PostgreSQL, durable (`fsync` on), on 127.0.0.1 and a socket in its own folder."""

    name = "postgres"
    _stop_signal = signal.SIGINT  # "fast": disconnects clients, writes a checkpoint
    _close_signal = signal.SIGQUIT  # "immediate", but gives its shared memory back

    def __init__(self) -> None:
        super().__init__()
        self._binaries = postgres_binaries()
        self._user = _unprivileged_user()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://quince@127.0.0.1:{self.port}/{database}"

    def new_url(self) -> str:
        """The URL of a database made just now, empty."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop the database of a URL made by `new_url`, whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def sql(self, statement: str) -> None:
        """Run one statement as superuser, outside a transaction."""
        with self.connect() as connection:
            connection.execute(statement.encode())

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the superuser, which commits each statement; the caller closes it."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="quince",
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _prepare(self) -> None:
        self.folder.chmod(0o711)  # it may run as another user than we do
        for folder in (self._data, self.folder / "socket"):
            folder.mkdir(mode=0o700)
            if self._user:
                shutil.chown(folder, self._user)
        options = ["--username=quince", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            [self._binaries / "initdb", "-D", self._data, *options],
            env=plain_environment(self.folder),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=self._user,
            extra_groups=[] if self._user else None,
        )
        if done.returncode:
            raise ServiceFailed(f"initdb failed: {done.stderr}")

    def _launch(self) -> None:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder / "socket",
            "max_connections": 200,
            "timezone": "UTC",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        argv: list[str | Path] = [self._binaries / "postgres", "-D", self._data, *options]
        self._spawn(self.name, argv, plain_environment(self.folder), user=self._user)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


class RabbitMQ(Server):
    """A private RabbitMQ node with stock settings, its own epmd, cookie and folders.

    Args:
        configure: Given the node's folder, writes what it wants there and returns lines for `rabbitmq.conf`.
    """

    name = "rabbitmq"
    VHOSTS_AT_ONCE = 64

    def __init__(self, configure: Callable[[Path], str] = lambda _folder: "") -> None:
        super().__init__()
        self._configure = configure
        self._find_binaries()
        self._ports = (0, 0)
        self._vhosts: list[str] = []
        self._batch = 8

    def uri(self, vhost: str = "/") -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost.replace('/', '%2F')}"

    def new_uri(self) -> str:
        """The URI of a virtual host that nobody has used."""
        if not self._vhosts:
            self._vhosts = [f"test_{next(self._numbers)}" for _ in range(self._batch)]
            self._make_vhosts(self._vhosts)
            self._batch = min(2 * self._batch, self.VHOSTS_AT_ONCE)
        return self.uri(self._vhosts.pop(0))

    def ctl(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run `rabbitmqctl` against this node; returns what it prints.

        Raises:
            ServiceFailed: it ended with an error, which is the message.
        """
        done = subprocess.run(
            self._within([self._binaries / "rabbitmqctl", "--quiet", *arguments]),
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise ServiceFailed(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def wipe(self, uri: str) -> None:
        """Everything that is in the virtual host of a URI made by `new_uri` is lost."""
        name = uri.rpartition("/")[2]
        self.ctl("delete_vhost", name)
        self._make_vhosts([name])

    def delete_queues(self, uri: str) -> None:
        """The durable queues of a virtual host are lost, whoever consumes them."""
        name = uri.rpartition("/")[2]
        deleted = self.ctl(
            "eval",
            'length([rabbit_amqqueue:delete(Q, false, false, <<"tests">>) '
            f'|| Q <- rabbit_amqqueue:list(<<"{name}">>), element(3, Q)]).',
        )
        if int(deleted) == 0:
            raise ServiceFailed(f"there are no durable queues in {name}")

    def _find_binaries(self) -> None:
        self._binaries = _rabbitmq_binaries()
        self._epmd = _epmd()

    def _within(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """How a command is run where the binaries are."""
        return list(argv)

    def _make_vhosts(self, names: Sequence[str]) -> None:
        """All in one call, since each `rabbitmqctl` starts an Erlang of its own (a second)."""
        listed = ",".join(f'<<"{name}">>' for name in names)
        self.ctl(
            "eval",
            f'[begin rabbit_vhost:add(V, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<"tests">>) end || V <- [{listed}]].',
        )

    def _environment(self) -> dict[str, str]:
        distribution, epmd = self._ports
        return plain_environment(self.folder) | {
            "RABBITMQ_NODENAME": f"quince{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_MAX_PORTS": "65536",  # else a huge limit of open files becomes a huge table
        }

    def _prepare(self) -> None:
        self._ports = (free_port(), free_port())
        (self.folder / "env.conf").touch()
        (self.folder / "rabbitmq.conf").write_text(self._configure(self.folder))
        (self.folder / "enabled_plugins").write_text("[].\n")
        self._spawn("epmd", self._within([self._epmd]), self._environment())

    def _launch(self) -> None:
        self._spawn(self.name, self._within([self._binaries / "rabbitmq-server"]), self._environment())

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return len(connection.recv(1)) == 1
        except OSError:
            return False

    def _signalled(self, family: Sequence[psutil.Process]) -> Sequence[psutil.Process]:
        # The start script would react by starting rabbitmqctl; Erlang itself stops in good order.
        return [process for process in family if process.name() in ("beam.smp", "epmd")] or family


class PgBouncer(Server):
    """A private PgBouncer before a server, which lets everybody in.

    Args:
        server: The server.
        settings: Lines of its own for `pgbouncer.ini`, which come last.
    """

    name = "pgbouncer"
    _stop_signal = signal.SIGTERM

    def __init__(self, server: Postgres, *settings: str) -> None:
        super().__init__()
        self._server = server
        self._settings = settings
        self._user = _unprivileged_user()
        found = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not Path(found).exists():
            raise ServiceMissing("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
        self._binary = found

    def url(self, url: str) -> str:
        """The URL of a database of the server, through this."""
        return url.replace(f":{self._server.port}/", f":{self.port}/")

    def _prepare(self) -> None:
        self.folder.chmod(0o711)
        lines = [
            "[databases]", f"* = host=127.0.0.1 port={self._server.port} user=quince",
            "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "auth_type = any",
            "unix_socket_dir =", "pool_mode = transaction", "default_pool_size = 3", *self._settings,
        ]  # fmt: skip
        (self.folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")

    def _launch(self) -> None:
        settings = plain_environment(self.folder)
        self._spawn(self.name, [self._binary, self.folder / "pgbouncer.ini"], settings, self._user)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL for as long as the block lasts. Raises ServiceMissing."""
    with Postgres() as server:
        yield server


@contextmanager
def rabbitmq() -> Iterator[RabbitMQ]:
    """A private RabbitMQ for as long as the block lasts. Raises ServiceMissing."""
    with RabbitMQ() as server:
        yield server


@contextmanager
def both() -> Iterator[tuple[RabbitMQ, Postgres]]:
    """Both servers, started at the same time."""
    broker, database = RabbitMQ(), Postgres()
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        stack.push(broker)
        stack.push(database)
        for started in [pool.submit(server.__enter__) for server in (broker, database)]:
            started.result()
        yield broker, database


def _unprivileged_user() -> str | None:
    """Whom PostgreSQL runs as: us, unless we are root, whom it refuses."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in users), None)


def postgres_binaries() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if found := shutil.which("postgres"):
        folders.insert(0, Path(found).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ServiceMissing("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def _version(folder: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", folder.parent.name)]


def _rabbitmq_binaries() -> Path:
    """`QUINCE_RABBITMQ_BIN` names another version's folder."""
    folders = [Path("/usr/lib/rabbitmq/bin")]
    if named := os.environ.get("QUINCE_RABBITMQ_BIN"):
        folders = [Path(named)]
    elif found := shutil.which("rabbitmq-server"):
        folders.append(Path(found).parent)
    for folder in folders:
        if (folder / "rabbitmq-server").exists():
            return folder
    raise ServiceMissing("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")


def _epmd() -> Path:
    found = shutil.which("epmd") or next(map(str, Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if found is None:
        raise ServiceMissing("Erlang's epmd is not installed (Debian: apt-get install erlang-base)")
    return Path(found)


def _main() -> None:
    with both() as (broker, database):
        print(f"QUINCE_BROKER={broker.uri()}\nQUINCE_STORE={database.new_url()}", flush=True)
        signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _main()
