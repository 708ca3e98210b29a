"""Whole servers and workers fail under load; nothing is lost, nothing is done twice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince import ProcessState, Workspace, submit, submit_many
from quince.workspace.location import Location
from quince_persistence.records import Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.services import Postgres, RabbitMQ

CHAINS = 60


@pytest.fixture
def served(
    tmp_path: Path, postgres_url: str, rabbitmq_url: str, worker_forks: ForkServer
) -> Iterator[tuple[Workspace, Crew]]:
    location = Location(tmp_path, postgres_url, rabbitmq_url)
    crew = Crew(location, worker_forks)
    with Workspace(location) as home:
        yield home, crew
    crew.close()


def load(home: Workspace, ledger: Path) -> list[int]:
    """Chains of five steps and families, all on their way."""
    chains = submit_many(
        flows.Stepwise, [{"steps": 5, "seconds": 0.2, "ledger": str(ledger)}] * CHAINS, workspace=home
    )
    families = submit_many(
        flows.Family, [{"children": 3, "seconds": 0.2, "ledger": str(ledger)}] * 10, workspace=home
    )
    eventually(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > CHAINS)
    return [handle.pid for handle in chains + families]


def check(home: Workspace, pids: list[int], ledger: Path) -> None:
    """Everything finished, each child exists once, and no step ran twice."""
    rows = home.watcher.wait(pids, lambda row: row.terminated, 90)
    assert Counter(row.state for row in rows) == {ProcessState.FINISHED: len(pids)}
    assert len(home.store.select(Selection(classes=["Double"]))) == 30
    lines = Counter(ledger.read_text().splitlines())
    assert {line: n for line, n in lines.items() if n > 1} == {}


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_the_broker_is_restarted_under_load(
    served: tuple[Workspace, Crew], rabbitmq_server: RabbitMQ, tmp_path: Path
) -> None:
    home, crew = served
    crew.start(2)
    ledger = tmp_path / "ledger"
    pids = load(home, ledger)
    rabbitmq_server.restart()
    check(home, pids, ledger)
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_the_database_is_restarted_under_load(
    served: tuple[Workspace, Crew], postgres_server: Postgres, tmp_path: Path
) -> None:
    home, crew = served
    crew.start(2)
    ledger = tmp_path / "ledger"
    pids = load(home, ledger)
    postgres_server.restart()
    check(home, pids, ledger)
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


def test_the_queue_is_purged_and_rebuilt(home: Workspace, crew: Crew) -> None:
    handles = submit_many(flows.add, [{"x": x} for x in range(20)], workspace=home)
    assert home.communicator.purge() == 20
    crew.start(1)
    assert [handle.result(40)["result"] for handle in handles] == [x + 1 for x in range(20)]


def test_the_broker_is_wiped_and_the_queue_is_rebuilt(
    home: Workspace, crew: Crew, location: Location, request: pytest.FixtureRequest
) -> None:
    """The folder of the messages is removed; the virtual host is deleted and made anew."""
    handles = submit_many(flows.add, [{"x": x} for x in range(20)], workspace=home)
    home.close()
    if location.embedded:
        shutil.rmtree(location.broker.removeprefix("local://"))
    else:
        request.getfixturevalue("rabbitmq_server").wipe(location.broker)
    crew.start(1)
    assert [handle.result(40)["result"] for handle in handles] == [x + 1 for x in range(20)]


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_the_queues_are_deleted_under_load(
    served: tuple[Workspace, Crew], rabbitmq_server: RabbitMQ, tmp_path: Path
) -> None:
    home, crew = served
    crew.start(2)
    ledger = tmp_path / "ledger"
    pids = load(home, ledger)
    rabbitmq_server.delete_queues(home.location.broker)
    check(home, pids, ledger)


def test_a_frozen_worker_is_fenced_when_it_thaws(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """Frozen past its lease: others finish its work, and what it writes later is refused. Its steps stand
    still before others begin to run them, and end when it wakes up."""
    ledger = tmp_path / "ledger"
    (frozen,) = crew.start(1)
    handle = submit(flows.Stepwise, steps=40, seconds=0.1, ledger=str(ledger), workspace=home)
    ticking = submit(flows.Ticks, folder=str(tmp_path), workspace=home)
    eventually(lambda: (tmp_path / "ticks").exists())
    eventually(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > 4)
    first = handle.row.owner
    frozen.freeze()
    crew.start(1)
    eventually(lambda: handle.row.owner not in (None, first), 20, "the take-over")
    eventually(
        lambda: len(set((tmp_path / "ticks").read_text().split())) == 2, what="the second run of a step"
    )
    frozen.thaw()
    assert handle.result(30) == {"done": list(range(40))}
    (told,) = [str(event.body["text"]) for event in handle.history() if event.kind == "death"]
    assert "was not heard of any more (frozen, cut off or dead) while it held this process" in told
    ends = Counter(line for line in ledger.read_text().splitlines() if line.startswith("end"))
    assert sum(n - 1 for n in ends.values()) <= 1, "more than the step in which it was frozen ran twice"
    assert frozen.process.poll() is None
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}
    assert "declared dead" in frozen.log.read_text()
    (tmp_path / "over").touch()
    assert ticking.result(30) == {}
    ticks = (tmp_path / "ticks").read_text().split()
    assert ticks == sorted(ticks, key=ticks.index), "one went on beside the other"
