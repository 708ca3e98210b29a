"""Every integration test runs on the embedded default and on RabbitMQ + PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quince import Workspace
from quince.settings import CHECK_VARIABLE
from quince.workspace.location import Location
from tests.crew import Crew, importing
from tests.forked import ForkServer
from tests.integration.commands import Quince

BACKENDS = [
    "embedded",
    pytest.param("servers", marks=[pytest.mark.rabbitmq, pytest.mark.postgres]),
]


@pytest.fixture(params=BACKENDS)
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    """A workspace that nobody has opened yet, on either backend: on the embedded one, workers go on from
    the restored copy of each checkpoint; on the servers, as in production, from memory."""
    monkeypatch.setenv(CHECK_VARIABLE, "1" if request.param == "embedded" else "0")
    if request.param == "embedded":
        return Location(
            tmp_path, f"sqlite:///{tmp_path}/.quince/quince.db", f"local://{tmp_path}/.quince/messages"
        )
    return Location(
        tmp_path, request.getfixturevalue("postgres_store_url"), request.getfixturevalue("rabbitmq_url")
    )


@pytest.fixture
def home(location: Location) -> Iterator[Workspace]:
    with Workspace(location) as workspace:
        yield workspace


@pytest.fixture
def crew(location: Location, worker_forks: ForkServer) -> Iterator[Crew]:
    workers = Crew(location, worker_forks)
    yield workers
    workers.close()


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Where the commands of `Quince` are forked."""
    with ForkServer(Quince.environment()) as server:
        yield server


@pytest.fixture(scope="session")
def worker_forks() -> Iterator[ForkServer]:
    """Where the workers of `crew` are forked."""
    with ForkServer(importing()) as server:
        yield server
