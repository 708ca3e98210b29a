"""Fixtures that every test may use: private servers, started only if a test asks for one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.rabbitmq4 import VARIABLE, RabbitMQ4
from tests.services import Postgres, RabbitMQ, ServiceMissing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with `&` in a script: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST_FIRST = [
    f"tests/{name}.py"
    for name in (
        "integration/messaging/test_faults", "integration/test_races", "integration/test_crash_everywhere",
        "integration/test_life", "integration/test_faults", "integration/test_control",
        "integration/test_examples_run", "integration/test_cli", "integration/test_takeover",
        "integration/test_signals", "integration/test_chaos", "integration/messaging/test_ledger",
        "integration/test_deployment", "simulation/test_simulation", "integration/test_cli_refusals",
        "integration/test_doctor", "integration/control_table/test_control_table",
        "integration/messaging/test_long_tasks", "integration/test_once", "integration/test_suspending",
        "integration/test_remote", "integration/test_odd_steps", "integration/test_forks",
    )
]  # fmt: skip
"""Files that take more than half a minute: begun late, one of them would keep a run waiting at its end."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would begin with the files of the most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


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
        default=int(os.environ.get("QUINCE_SIMULATION_SEEDS", "1000")),
        help="how many seeds the simulation runs (about 50 ms each)",
    )


def _required() -> bool:
    """Whether a missing server is a failure (on CI) and not a reason to skip."""
    return os.environ.get("CI") == "true" or os.environ.get("QUINCE_REQUIRE_SERVICES") == "1"


def _missing(error: ServiceMissing) -> NoReturn:
    if _required():
        pytest.fail(f"required here: {error}", pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A private PostgreSQL for the whole session. A test that stops it starts it again."""
    try:
        server = Postgres()
    except ServiceMissing as error:
        _missing(error)
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
        _missing(error)
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


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMQ) -> str:
    """The URI of a fresh virtual host."""
    rabbitmq_server.start()
    return rabbitmq_server.new_uri()
