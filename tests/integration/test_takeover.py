"""How soon the work of a worker that was killed goes on elsewhere."""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from pathlib import Path

import pytest

from quince import Workspace, submit
from quince.workspace.location import Location
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.messaging.proxy import Proxy
from tests.services import RabbitMQ


def ospid(owner: str | None) -> int:
    return int((owner or "::0:").split(":")[-2])


def takeover(home: Workspace, victims: Crew, others: Crew, gate: Path) -> float:
    """Seconds from the death of the only worker of `victims` until one of `others` holds its process."""
    (victim,) = victims.start(1)
    handle = submit(flows.Blocker, gate=str(gate), workspace=home)
    eventually(lambda: ospid(handle.row.owner) == victim.process.pid)
    others.start(1)
    victim.kill()
    died = time.monotonic()
    eventually(lambda: ospid(handle.row.owner) not in (0, victim.process.pid), 30, "the take-over")
    taken = time.monotonic() - died
    gate.touch()
    assert handle.result(30) == {}
    for worker in others.workers:
        worker.stop()
    return taken


def test_on_the_same_host_within_a_second(
    home: Workspace, location: Location, tmp_path: Path, worker_forks: ForkServer
) -> None:
    with closing(Crew(location, worker_forks)) as victims, closing(Crew(location, worker_forks)) as others:
        taken = [takeover(home, victims, others, tmp_path / f"gate-{n}") for n in range(3)]
    assert statistics.median(taken) < 1.0, taken


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_across_hosts_within_twelve_seconds(
    postgres_url: str,
    rabbitmq_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worker_forks: ForkServer,
) -> None:
    """Two hosts, played by two names: the lock of the one says nothing on the other. The broker drops the
    queue of the dead one at once, and so the other looks closely."""
    location = Location(tmp_path, postgres_url, rabbitmq_url)
    with (
        Workspace(location) as home,
        closing(Crew(location, worker_forks)) as victims,
        closing(Crew(location, worker_forks)) as others,
    ):
        monkeypatch.setenv("QUINCE_HOST", "elsewhere")
        (victim,) = victims.start(1)
        handle = submit(flows.Blocker, gate=str(tmp_path / "gate"), workspace=home)
        eventually(lambda: ospid(handle.row.owner) == victim.process.pid)
        monkeypatch.setenv("QUINCE_HOST", "here")
        others.start(1)
        victim.kill()
        died = time.monotonic()
        eventually(lambda: ospid(handle.row.owner) not in (0, victim.process.pid), 30, "the take-over")
        assert time.monotonic() - died < 12.0
        assert "no queue in the broker; its heartbeat is watched" in others.workers[0].log.read_text()
        (tmp_path / "gate").touch()
        assert handle.result(30) == {}


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_across_hosts_who_only_loses_the_broker_is_not_taken_for_dead(
    postgres_url: str,
    rabbitmq_url: str,
    rabbitmq_server: RabbitMQ,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worker_forks: ForkServer,
) -> None:
    """Its queue is gone, so it is watched; and it is heard."""
    location = Location(tmp_path, postgres_url, rabbitmq_url)
    with Workspace(location) as home, Proxy("127.0.0.1", rabbitmq_server.port) as proxy:
        behind = Location(tmp_path, postgres_url, proxy.uri(rabbitmq_url))
        with closing(Crew(behind, worker_forks)) as cut_off, closing(Crew(location, worker_forks)) as others:
            monkeypatch.setenv("QUINCE_HOST", "elsewhere")
            (victim,) = cut_off.start(1)
            handle = submit(flows.Blocker, gate=str(tmp_path / "gate"), workspace=home)
            owner = str(eventually(lambda: handle.row.owner))
            monkeypatch.setenv("QUINCE_HOST", "here")
            (watcher,) = others.start(1)
            proxy.refuse()
            eventually(lambda: "its heartbeat is watched" in watcher.log.read_text())
            for _ in range(3):  # longer than a silence that would be taken for death
                beat = beat_of(home, owner)
                eventually(lambda before=beat: beat_of(home, owner) != before)  # type: ignore[misc]
            assert "dead (" not in watcher.log.read_text()
            (tmp_path / "gate").touch()
            assert handle.result(30) == {}
            assert handle.row.epoch == 1
            assert victim.process.poll() is None


def beat_of(home: Workspace, worker_id: str) -> float:
    """When a worker was last heard."""
    (heartbeat,) = (worker.heartbeat for worker in home.store.workers() if worker.id == worker_id)
    return heartbeat
