"""The crash harness where it costs more: on RabbitMQ + PostgreSQL, and with a second crash in the recovery.

A sample of the points; `pytest --all-points` tries all of them, each with four points of its recovery, which
takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quince import Workspace, submit
from quince.testing import CrashTestFailed, Verdict, crash_everywhere
from quince.testing.plugin import CrashEverywhere
from quince.workspace.location import Location
from tests import flows
from tests.integration.test_crash_everywhere import Submits
from tests.services import Postgres, RabbitMQ

LANES = 2


@pytest.fixture
def servers(tmp_path: Path, postgres_server: Postgres, rabbitmq_server: RabbitMQ) -> Iterator[list[Location]]:
    postgres_server.start()
    rabbitmq_server.start()
    places = [Location(tmp_path, postgres_server.new_url(), rabbitmq_server.new_uri()) for _ in range(LANES)]
    yield places
    for location in places:
        postgres_server.drop(location.store)


@pytest.fixture
def most(request: pytest.FixtureRequest) -> int:
    """How many points are tried; 0: all."""
    return 0 if request.config.getoption("all_points") else 8


@pytest.fixture
def twice(most: int) -> int:
    """How many points of each recovery are tried."""
    return 2 if most else 4


@pytest.mark.rabbitmq
@pytest.mark.postgres
@pytest.mark.timeout(1200)
def test_a_family_on_servers_ends_the_same_wherever_its_worker_dies(
    crash_everywhere: CrashEverywhere, servers: list[Location], most: int
) -> None:
    report = crash_everywhere(
        flows.Family, children=2, settings={"lingers": (0.3,), "most": most, "places": servers}
    )
    assert report.crashes >= len(report.outcomes) * 3 // 4, report.story()


@pytest.mark.rabbitmq
@pytest.mark.postgres
@pytest.mark.timeout(1200)
def test_on_servers_the_recovering_worker_dies_too(
    crash_everywhere: CrashEverywhere, servers: list[Location], most: int, twice: int
) -> None:
    settings = {"lingers": (0.0,), "most": most // 4, "twice": twice, "places": servers}
    report = crash_everywhere(flows.Family, children=2, settings=settings)
    assert any(one.second and one.verdict is Verdict.SAME for one in report.outcomes), report.story()


@pytest.mark.timeout(1200)
def test_the_recovering_worker_dies_too(
    crash_everywhere: CrashEverywhere, tmp_path: Path, most: int, twice: int
) -> None:
    """Three workers: two die. The once-block runs once, except for a death between act and record."""
    cluster = tmp_path / "cluster"
    settings = {"lingers": (0.0,), "most": most, "twice": twice}
    report = crash_everywhere(Submits, cluster=str(cluster), settings=settings)
    second = [one for one in report.outcomes if one.second is not None]
    assert sum(one.verdict is Verdict.SAME for one in second) >= len(second) // 2, report.story()
    assert len(second) >= most
    report = crash_everywhere(flows.Family, children=2, settings=settings)
    assert report.crashes > most, report.story()


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_a_place_in_which_there_is_something_is_not_emptied(servers: list[Location]) -> None:
    with Workspace(servers[1]) as home:
        handle = submit(flows.add, x=1, workspace=home)
        with pytest.raises(CrashTestFailed, match="empty databases"):
            crash_everywhere(flows.Fails, places=servers)
        assert handle.row.pid == handle.pid
