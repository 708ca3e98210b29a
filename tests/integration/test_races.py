"""Each race that the design names, and the test of that name.

| race                                                   | test                                                         |
|--------------------------------------------------------|--------------------------------------------------------------|
| child ends before its parent waits                     | here; in the store: test_store.py::test_a_child_that_ended_first_is_seen, test_store_races.py::test_a_child_ends_while_its_parent_commits_waiting |
| two last children end at the same time in two workers  | here; in the store: test_store_races.py::test_two_last_children_end_at_once_in_two_workers |
| kill while being woken                                 | here; in the store: test_store_races.py::test_kill_while_being_woken |
| pause while queued                                     | here; test_control.py::test_pause_and_play[queued]           |
| play before the pause is applied                       | here; in the store: test_store_control.py::test_play_before_the_pause_is_applied_has_the_last_word |
| the task delivered twice                               | here; in the store: test_store_races.py::test_two_stores_claim_at_once_and_one_wins |
| the worker cut off from the broker while its lease lives | here                                                       |
| cut off from the database                              | here, twice; in the store: test_store_outages.py             |
| frozen past its lease and then continued               | test_faults.py::test_a_frozen_worker_is_fenced_when_it_thaws |
| broker restarted under load                            | test_faults.py::test_the_broker_is_restarted_under_load      |
| database restarted under load                          | test_faults.py::test_the_database_is_restarted_under_load    |
| disk full                                              | here; test_group_commit.py::test_a_full_disk_writes_nothing_by_halves_and_then_works_again |
| clock stepped                                          | here                                                         |
"""  # noqa: E501 - a table

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quince import ControlRefused, ProcessHandle, ProcessState, WaitTimeout, Workspace, submit, submit_many
from quince.messages import task_for
from quince.workspace.location import Location
from quince_persistence.records import ProcessRow, Selection
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration import race_flows
from tests.integration.messaging.proxy import Proxy
from tests.integration.small_disk import fill, small_disk
from tests.services import Postgres, RabbitMQ

STEPPED_CLOCK = Path(__file__).parent / "stepped_clock"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


def steps(ledger: Path) -> Counter[str]:
    return Counter(ledger.read_text().splitlines() if ledger.exists() else ())


def ospid(owner: str | None) -> int:
    """The operating-system process of a worker id."""
    return int((owner or "::0:").split(":")[-2])


def test_child_ends_before_its_parent_waits(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start(2)
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    parent = submit(race_flows.WaitsLate, gate=str(gate), ledger=str(ledger), workspace=home)
    eventually(lambda: home.store.select(Selection(parent=parent.pid, states=[ProcessState.FINISHED])))
    assert parent.state is ProcessState.RUNNING
    gate.touch()
    assert parent.result(30) == {"total": 8}
    assert steps(ledger)["collect"] == 1


def test_two_last_children_end_at_the_same_time_in_two_workers(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    """A worker for each queue, so that the two children are in two workers for certain."""
    crew.start(1, queues=("default", "left"))
    crew.start(1, queues=("right",))
    ledger = tmp_path / "ledger"
    for number in range(6):
        gate = tmp_path / f"gate-{number}"
        parent = submit(
            race_flows.Twins, gate=str(gate), ledger=str(ledger), queues=["left", "right"], workspace=home
        )
        children = eventually(lambda p=parent: _running_children(home, p, 2))  # type: ignore[misc]
        assert len({child.owner for child in children}) == 2
        gate.touch()
        assert parent.result(30) == {"total": 2}
        assert steps(ledger)[f"collect {parent.pid}"] == 1


def _running_children(home: Workspace, parent: ProcessHandle, count: int) -> list[ProcessRow]:
    rows = home.store.select(Selection(parent=parent.pid, states=[ProcessState.RUNNING]))
    owned = [row for row in rows if row.owner is not None]
    return list(owned) if len(owned) == count and parent.state is ProcessState.WAITING else []


def test_kill_while_being_woken(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """The last child ends and the parent is killed at the same time: one of the two comes first, and
    whichever it is, the parent ends once, and a kill that was accepted holds."""
    crew.start(2)
    ends: Counter[ProcessState] = Counter()
    for number in range(10):
        gate = tmp_path / f"gate-{number}"
        parent = submit(race_flows.Twins, gate=str(gate), queues=["default"], workspace=home)
        eventually(lambda p=parent: _running_children(home, p, 1))  # type: ignore[misc]
        opening = threading.Timer(0.004 * number, gate.touch)
        opening.start()
        time.sleep(0.02)
        try:
            accepted = parent.kill("raced").accepted
        except ControlRefused:
            accepted = False
        opening.join()
        state = parent.wait(20).state
        assert state is (ProcessState.KILLED if accepted else ProcessState.FINISHED)
        ends[state] += 1
        rows = eventually(lambda p=parent: [row for row in p.tree() if p.terminated])  # type: ignore[misc]
        eventually(lambda p=parent: all(row.terminated and row.owner is None for row in p.tree()))  # type: ignore[misc]
        assert len(rows) == 2
    assert ends[ProcessState.KILLED], "no kill came in time: this test would show nothing"


def test_pause_while_queued(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """Its task is on the queue already; a worker that gets it must not run it."""
    ledger = tmp_path / "ledger"
    handle = submit(flows.Double, value=1, ledger=str(ledger), workspace=home)
    assert handle.pause("not yet").applied
    crew.start()
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}
    eventually(lambda: home.communicator.queue_size() == 0)
    assert not steps(ledger)
    assert handle.paused
    handle.play()
    assert handle.result(30) == {"value": 2}
    assert steps(ledger) == {f"double {handle.pid}": 1}


def test_play_before_the_pause_is_applied(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    handle = submit(race_flows.LaunchesLate, gate=str(gate), ledger=str(ledger), workspace=home)
    eventually(lambda: steps(ledger)["launch"])
    pausing = handle.pause()
    assert pausing.accepted
    assert not pausing.applied
    handle.play()
    gate.touch()
    assert handle.result(30) == {"total": 6}
    assert steps(ledger)["launch"] == steps(ledger)["collect"] == 1
    assert not handle.paused


def test_the_task_delivered_twice(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """Four tasks for each process, before it runs and while it does, and after its end."""
    ledger = tmp_path / "ledger"
    handles = submit_many(
        flows.Stepwise, [{"steps": 4, "seconds": 0.05, "ledger": str(ledger)}] * 12, workspace=home
    )
    again = [task_for(handle.pid) for handle in handles]
    home.communicator.send_tasks(again * 3, queue="default")
    crew.start(2)
    eventually(lambda: steps(ledger))
    home.communicator.send_tasks(again * 2, queue="default")
    for handle in handles:
        assert handle.result(30) == {"done": list(range(4))}
    home.communicator.send_tasks(again, queue="default")
    eventually(lambda: home.communicator.queue_size() == 0)
    assert set(steps(ledger).values()) == {1}
    assert len(steps(ledger)) == 12 * 4 * 2


def test_a_broadcast_that_is_not_true(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """Somebody says that a child has ended; its parent, which lingers, believes the store."""
    crew.start()
    parent = submit(race_flows.Twins, gate=str(tmp_path / "gate"), queues=["default"], workspace=home)
    (child,) = eventually(lambda: _running_children(home, parent, 1))
    assert parent.row.owner is not None
    home.communicator.broadcast_send({}, sender=str(child.pid), subject="state_changed.running.finished")
    eventually(lambda: parent.row.owner is None)
    assert parent.state is ProcessState.WAITING
    (tmp_path / "gate").touch()
    assert parent.result(30) == {"total": 1}


@pytest.fixture
def served(tmp_path: Path, postgres_url: str, rabbitmq_url: str) -> Location:
    return Location(tmp_path, postgres_url, rabbitmq_url)


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_the_worker_cut_off_from_the_broker_while_its_lease_lives(
    served: Location, rabbitmq_server: RabbitMQ, tmp_path: Path, worker_forks: ForkServer
) -> None:
    """It goes on with what it holds; the tasks of its children are lost, and another worker runs them."""
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    with Workspace(served) as home, Proxy("127.0.0.1", rabbitmq_server.port) as proxy:
        behind = Location(served.folder, served.store, proxy.uri(served.broker))
        with closing(Crew(behind, worker_forks)) as cut_off, closing(Crew(served, worker_forks)) as others:
            (victim,) = cut_off.start()
            parent = submit(race_flows.LaunchesLate, gate=str(gate), ledger=str(ledger), workspace=home)
            eventually(lambda: steps(ledger)["launch"])
            proxy.refuse()
            others.start()
            gate.touch()
            assert parent.result(40) == {"total": 6}
            assert set(steps(ledger).values()) == {1}
            assert ospid(home.store.workers()[0].id) == victim.process.pid, "its lease was taken from it"
            proxy.refuse(False)
            assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_cut_off_from_the_database_again_and_again(
    served: Location, postgres_server: Postgres, tmp_path: Path, worker_forks: ForkServer
) -> None:
    """Every connection is terminated twenty times a second; commits in doubt are neither lost nor doubled."""
    ledger = tmp_path / "ledger"
    with Workspace(served) as home, closing(Crew(served, worker_forks)) as crew:
        crew.start(2)
        inputs = {"steps": 6, "seconds": 0.1, "ledger": str(ledger)}
        handles = submit_many(flows.Stepwise, [inputs] * 40, workspace=home)
        eventually(lambda: steps(ledger))
        statement = TERMINATE.format(served.store.rpartition("/")[2])
        for _ in range(30):
            postgres_server.sql(statement)
            time.sleep(0.05)
        rows = eventually(lambda: _ended(home, handles), 60)
        assert rows == {ProcessState.FINISHED: 40}
        assert set(steps(ledger).values()) == {1}
        assert len(steps(ledger)) == 40 * 6 * 2


def _ended(home: Workspace, handles: list[ProcessHandle]) -> Counter[ProcessState] | None:
    rows = home.store.select(Selection(pids=[handle.pid for handle in handles]))
    return Counter(row.state for row in rows) if all(row.terminated for row in rows) else None


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_cut_off_from_the_database_past_its_lease(
    served: Location, postgres_server: Postgres, tmp_path: Path, worker_forks: ForkServer
) -> None:
    """Others take over what it held; when it is back, what it still had is refused."""
    ledger = tmp_path / "ledger"
    with Workspace(served) as home, Proxy("127.0.0.1", postgres_server.port) as proxy:
        url = served.store.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        with (
            closing(Crew(Location(served.folder, url, served.broker), worker_forks)) as cut_off,
            closing(Crew(served, worker_forks)) as others,
        ):
            (victim,) = cut_off.start()
            handle = submit(flows.Stepwise, steps=60, seconds=0.1, ledger=str(ledger), workspace=home)
            eventually(lambda: steps(ledger)[f"end {handle.pid} 3"])
            proxy.refuse()
            others.start()
            eventually(lambda: ospid(handle.row.owner) not in (0, victim.process.pid), 25, "the take-over")
            proxy.refuse(False)
            assert handle.result(40) == {"done": list(range(60))}
            extra = {step: times for step, times in steps(ledger).items() if times > 1}
            assert len(extra) <= 2, "more than the step in which it was cut off ran twice"
            eventually(lambda: len(home.store.workers()) == 2, 20, "its new registration")
            assert victim.process.poll() is None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    with small_disk(tmp_path / "disk", "8m") as why_not:
        if why_not:
            pytest.skip(why_not)
        yield tmp_path / "disk"


def test_disk_full(disk: Path, tmp_path: Path, worker_forks: ForkServer) -> None:
    """Work stands still while nothing can be written, and goes on when there is room, as if nothing had
    been."""
    ledger = tmp_path / "ledger"
    state = disk / ".quince"
    location = Location(disk, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
    with Workspace(location) as home, closing(Crew(location, worker_forks)) as crew:
        crew.start(2)
        inputs = {"steps": 8, "seconds": 0.1, "ledger": str(ledger)}
        handles = submit_many(flows.Stepwise, [inputs] * 10, workspace=home)
        families = submit_many(flows.Family, [{"children": 3, "seconds": 0.3}] * 5, workspace=home)
        eventually(lambda: len(steps(ledger)) > 40)
        ballast = disk / "ballast"
        fill(ballast)
        eventually(lambda: any("full" in worker.log.read_text() for worker in crew.workers))
        ballast.unlink()
        for handle in handles:
            assert handle.result(60) == {"done": list(range(8))}
        for family in families:
            assert family.result(60) == {"total": 6}
            assert len(family.tree()) == 4
        assert set(steps(ledger).values()) == {1}


def test_clock_stepped(home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers' clock jumps two hours ahead, and back again, while they are at work, and one is killed.

    On the embedded default deaths are seen where there are none: then a running step is run again
    elsewhere, and counts once.
    """
    clock, ledger = stepped_clock(tmp_path, monkeypatch), tmp_path / "ledger"
    victim, _ = crew.start(2)
    inputs = {"steps": 40, "seconds": 0.1, "ledger": str(ledger)}
    handles = submit_many(flows.Stepwise, [inputs] * 6, workspace=home)
    for offset, lines in ((7200, 120), (0, 300)):
        eventually(lambda n=lines: sum(steps(ledger).values()) > n)  # type: ignore[misc]
        step_clock(clock, offset)
    victim.kill()
    for handle in handles:
        assert handle.result(60) == {"done": list(range(40))}
    ends = {step: times for step, times in steps(ledger).items() if step.startswith("end")}
    assert len(ends) == 6 * 40
    assert sum(times - 1 for times in ends.values()) <= 6 * 4, "more than running steps ran again"


def test_clock_stepped_over_a_timer(
    home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer is a time by the store's clock: the machine's on the embedded default, else the server's."""
    clock = stepped_clock(tmp_path, monkeypatch)
    crew.start()
    handle = submit(flows.Timed, seconds=3600, workspace=home)
    eventually(lambda: handle.state is ProcessState.WAITING and handle.row.owner is None)
    step_clock(clock, 7200)
    if home.location.embedded:
        assert handle.result(30)["waited"] > 3600
    else:
        with pytest.raises(WaitTimeout):
            handle.result(5)


def test_clock_set_back_over_timers(
    home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers that were set before are late by as much, on the embedded default; none is lost, those that
    are set afterwards are on time, and nobody is taken for dead."""
    clock, ledger = stepped_clock(tmp_path, monkeypatch), tmp_path / "ledger"
    crew.start(2)
    steady = submit(flows.Stepwise, steps=20, seconds=0.1, ledger=str(ledger), workspace=home)
    before = submit_many(flows.Timed, [{"seconds": seconds} for seconds in (1.0, 2.5)], workspace=home)
    eventually(lambda: all(handle.state is ProcessState.WAITING for handle in before) and steps(ledger))
    step_clock(clock, -3)
    after = submit(flows.Timed, seconds=0.5, workspace=home)
    for handle in (steady, *before, after):
        assert handle.wait(60).state is ProcessState.FINISHED
    assert set(steps(ledger).values()) == {1}
    assert not any("dead (" in worker.log.read_text() for worker in crew.workers)


def test_claimed_between_the_declaration_of_death_and_the_news_of_it(home: Workspace, crew: Crew) -> None:
    """A worker that was frozen thaws, and claims a process before it hears that it was declared dead:
    it must not keep what it drops then. (Found by chaos: embedded, seed 6.)"""
    (worker,) = crew.start()
    (row,) = home.store.workers()
    home.store.release_worker(row.id).result()
    handle = submit(flows.Stepwise, steps=40, seconds=0.1, workspace=home)
    assert handle.result(40) == {"done": list(range(40))}
    assert "declared dead" in worker.log.read_text()
    assert [again.id for again in home.store.workers()] == [row.id]


def stepped_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers that are started from now on read their clock's error from this file."""
    clock = folder / "clock"
    clock.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(STEPPED_CLOCK))
    monkeypatch.setenv("QUINCE_TEST_CLOCK", str(clock))
    return clock


def step_clock(clock: Path, offset: float) -> None:
    fresh = clock.with_suffix(".new")
    fresh.write_text(str(offset))
    fresh.replace(clock)
