"""Fixtures that every test may use: private servers, started only if a test asks for one."""

from __future__ import annotations

import compileall
import gc
import logging
import os
import re
import signal
from collections.abc import Iterator

import pytest

from quince.workspace import workspace as workspace_module
from tests.crew import ROOT
from tests.prepared import PreparedDatabases
from tests.rabbitmq4 import VARIABLE, RabbitMQ4
from tests.server import missing
from tests.services import Postgres, RabbitMQ, ServiceMissing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with `&` in a script: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = [
    f"tests/{name}.py"
    for name in (
        "integration/test_crash_everywhere", "simulation/test_simulation",
        "integration/messaging/test_faults", "integration/test_races", "integration/test_life",
        "integration/test_faults", "integration/test_control",
        "integration/test_examples_run", "integration/test_cli", "integration/test_takeover",
        "integration/test_signals", "integration/test_chaos", "integration/messaging/test_ledger",
        "integration/test_deployment", "integration/test_cli_refusals",
        "integration/test_doctor", "integration/control_table/test_control_table",
        "integration/messaging/test_long_tasks", "integration/test_once", "integration/test_suspending",
        "integration/test_remote", "integration/test_odd_steps", "integration/test_forks",
        "integration/test_bad_manners", "integration/test_deaths", "integration/test_code",
        "integration/stopping/test_stopping", "integration/stopping/test_pausing_now",
        "integration/test_retries", "integration/test_chapters", "integration/test_tutorials",
        "integration/test_true_causes", "integration/test_programs",
        "integration/test_waiting_inside",
    )
]  # fmt: skip
"""Files that take more than half a minute: begun late, one of them would keep a run waiting at its end."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would begin with the files of the most tests
    if not hasattr(config, "workerinput"):
        compile_code()


def compile_code() -> None:
    """Compile what tests start programs of: where PYTHONDONTWRITEBYTECODE is set, each would do it anew."""
    for folder in ("engine", "messaging", "persistence", "tests"):
        compileall.compile_dir(ROOT / folder, quiet=2, rx=re.compile(r"/test_[^/]*$"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # or each search for garbage would go through thousands of tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rabbitmq4",
        action="store_true",
        default=os.environ.get(VARIABLE) == "1",
        help="run on RabbitMQ 4.0, in a root that is made with debootstrap (needs root; see docs/testing.md)",
    )
    parser.addoption(
        "--ten-minutes",
        action="store_true",
        help="keep programs busy for ten real minutes where the default is seconds (test_heartbeats.py)",
    )
    parser.addoption(
        "--all-points",
        action="store_true",
        help="crash workers at every point where the default is a sample: minutes (test_crash_on_servers.py)",
    )
    parser.addoption(
        "--simulation-seeds",
        type=int,
        default=int(os.environ.get("QUINCE_SIMULATION_SEEDS", "100")),
        help="how many seeds the simulation runs (about half a second each)",
    )


@pytest.fixture(autouse=True)
def _close_workspaces_found() -> Iterator[None]:
    """Those of folders that a test has named, or worked in, would stay open until this program ends."""
    before = set(workspace_module._open)
    yield
    for location in set(workspace_module._open) - before:
        workspace_module._open.pop(location).close()


@pytest.fixture(autouse=True)
def _keep_levels_of_logs() -> Iterator[None]:
    """A command that a test calls sets them, as the end of its program is near."""
    levels = {name: logging.getLogger(name).level for name in ("aio_pika", "aiormq")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A private PostgreSQL for the whole session. A test that stops it starts it again."""
    try:
        server = Postgres()
    except ServiceMissing as error:
        missing(error)
    with server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_kind(request: pytest.FixtureRequest) -> type[RabbitMQ]:
    """The installed RabbitMQ, or that of `--rabbitmq4`."""
    return RabbitMQ4 if request.config.getoption("rabbitmq4") else RabbitMQ


@pytest.fixture(scope="session")
def rabbitmq_server(rabbitmq_kind: type[RabbitMQ]) -> Iterator[RabbitMQ]:
    """A private RabbitMQ for the whole session. A test that stops it starts it again."""
    try:
        server = rabbitmq_kind()
    except ServiceMissing as error:
        missing(error)
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a fresh, empty database, dropped after the test."""
    postgres_server.start()
    url = postgres_server.new_url()
    yield url
    postgres_server.start()
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def prepared_databases(postgres_server: Postgres) -> PreparedDatabases:
    return PreparedDatabases(postgres_server)


@pytest.fixture
def postgres_store_url(postgres_server: Postgres, prepared_databases: PreparedDatabases) -> Iterator[str]:
    """The URL of a database that holds an empty store."""
    postgres_server.start()
    url = prepared_databases.take()
    yield url
    postgres_server.start()
    prepared_databases.give_back(url)


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMQ) -> str:
    """The URI of a fresh virtual host."""
    rabbitmq_server.start()
    return rabbitmq_server.new_uri()
