"""What is wrong with the infrastructure is waited for and told; no process is ended, or held, for it."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quince import ProcessHandle, Workspace, submit, submit_many
from quince.cli.daemon_view import worker_table
from quince.client.notify import enqueue
from quince.client.why import why
from quince.diagnosis.doctor import doctor
from quince.monitor.fleet import workers_of
from quince.recovery.lease import Lease
from quince.settings import CHECK_VARIABLE, host_name
from quince.workspace.location import Location
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec import encode
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import NewProcess, State
from quince_persistence.records.workers import WorkerRow
from tests import flows
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.integration.locked_pids import locked_pids
from tests.integration.small_disk import fill, small_disk
from tests.integration.test_races import steps
from tests.integration.trouble_flows import Launches, LaunchesOnLoop
from tests.services import PgBouncer, Postgres, ServiceMissing
from tests.unit.cli.test_drawing import drawn

KINDS = pytest.mark.parametrize("kind", [Launches, LaunchesOnLoop])


@pytest.mark.postgres
@KINDS
def test_locked_pids_keep_a_step_waiting_and_are_told(
    kind: type[Launches],
    tmp_path: Path,
    postgres_url: str,
    worker_forks: ForkServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHECK_VARIABLE, "0")
    url = f"{postgres_url}?options=-c%20lock_timeout%3D300ms"
    location = Location(tmp_path, url, f"local://{tmp_path}/messages")
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    with Workspace(location) as home, closing(Crew(location, worker_forks)) as crew:
        (worker,) = crew.start()
        handle = submit(kind, gate=str(gate), ledger=str(ledger), workspace=home)
        eventually(lambda: steps(ledger)["launch"])
        with locked_pids(url):
            gate.touch()
            if kind is Launches:
                eventually(lambda: "the store is away" in why(home, handle.pid).sentence)
                assert any("holds the lock" in one.sentence for one in doctor(home))
                assert home.store.workers()[0].troubles
            else:
                eventually(lambda: "its step needed the store" in worker.log.read_text())
                eventually(lambda: "the store is away" in why(home, handle.pid).sentence)
        assert handle.result(60) == {"total": 8}
        assert len(handle.tree()) == 2
        assert steps(ledger) == {"launch": 1 if kind is Launches else 2, "launched": 1}
        eventually(lambda: not home.store.workers()[0].troubles)


@pytest.mark.postgres
def test_workers_behind_pgbouncer(
    tmp_path: Path, postgres_url: str, postgres_server: Postgres, worker_forks: ForkServer
) -> None:
    """One session of the server for all of them, and one of them is killed."""
    try:
        bouncer = PgBouncer(postgres_server, "default_pool_size = 1")
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    with bouncer:
        location = Location(tmp_path, bouncer.url(postgres_url), f"local://{tmp_path}/messages")
        with Workspace(location) as home, closing(Crew(location, worker_forks)) as crew:
            victim, _ = crew.start(2)
            families = submit_many(flows.Family, [{"children": 3, "seconds": 0.3}] * 5, workspace=home)
            eventually(lambda: home.store.counts()[State.RUNNING] > 3)
            victim.kill()
            for family in families:
                assert family.result(60) == {"total": 6}
                assert len(family.tree()) == 4


@KINDS
def test_a_full_disk_keeps_a_step_waiting(
    kind: type[Launches], tmp_path: Path, worker_forks: ForkServer
) -> None:
    with small_disk(tmp_path / "disk", "8m") as why_not:
        if why_not:
            pytest.skip(why_not)
        disk = tmp_path / "disk"
        location = Location(tmp_path, f"sqlite:///{disk}/quince.db", f"local://{tmp_path}/messages")
        gate, ledger = tmp_path / "gate", tmp_path / "ledger"
        with Workspace(location) as home, closing(Crew(location, worker_forks)) as crew:
            (worker,) = crew.start()
            handle = submit(kind, gate=str(gate), ledger=str(ledger), workspace=home)
            eventually(lambda: steps(ledger)["launch"])
            (ballast := disk / "ballast").touch()
            fill(ballast)
            gate.touch()
            said = "the store is away" if kind is Launches else "its step needed the store"
            eventually(lambda: said in worker.log.read_text())
            ballast.unlink()
            assert handle.result(60) == {"total": 8}
            assert len(handle.tree()) == 2
            if kind is Launches:
                assert steps(ledger) == {"launch": 1, "launched": 1}


MODULE = """
import errno
from pathlib import Path
from quince import Process
if not Path({ready!r}).exists():
    raise OSError(errno.EMFILE, "Too many open files")
class Late(Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output("value", valid_type=int)
    def run(self):
        self.out("value", 7)
"""


def test_an_import_that_fails_in_passing_is_tried_again_by_itself(
    tmp_path: Path, worker_forks: ForkServer
) -> None:
    """Nobody has to play the process; a slot is not held meanwhile; a pause is heard."""
    location = Location(tmp_path, f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages")
    ready, ledger = tmp_path / "ready", str(tmp_path / "ledger")
    (tmp_path / "late_module.py").write_text(MODULE.format(ready=str(ready)))
    with Workspace(location) as home, closing(Crew(location, worker_forks)) as crew:
        paused, waits = (_submitted(home, "late_module:Late") for _ in range(2))
        other = submit(Launches, gate=str(tmp_path), ledger=ledger, workspace=home)
        crew.start(slots=1)
        assert other.result(30) == {"total": 8}, "the slot is free for others"
        eventually(lambda: "cannot be loaded now" in why(home, paused.pid).sentence)
        assert any("cannot be loaded now" in one.sentence for one in doctor(home))
        paused.pause()
        eventually(lambda: paused.row.owner is None)
        ready.touch()
        assert waits.result(30) == {"value": 7}
        paused.play()
        assert paused.result(30) == {"value": 7}


def test_a_worker_that_is_cut_off_is_not_called_dead(tmp_path: Path) -> None:
    """Its heartbeats do not reach the store; that it lives is known all the same."""
    location = Location(tmp_path, f"sqlite:///{tmp_path}/quince.db", f"local://{tmp_path}/messages")
    lock, worker_id = tmp_path / "lock", "here:1:aa"
    with Workspace(location) as home, Lease(silent(), worker_id, lock, lambda: None):
        now = home.store.clock()
        host, ospid = host_name(), os.getpid()
        row = WorkerRow(worker_id, host, ospid, "cut-off", (), 1, str(lock), "running", now, now)
        home.store.register_worker(row).result()
        handle = submit(flows.add, x=1, workspace=home)
        home.store.claim([handle.pid], worker_id).result()
        with closing(sqlite3.connect(tmp_path / "quince.db")) as connection, connection:
            connection.execute("UPDATE workers SET heartbeat = heartbeat - 60")
        assert "cut-off lives, but has not reached the store for 60 s" in why(home, handle.pid).sentence
        assert any(
            "cut off" in line for line in drawn(worker_table(workers_of(home.store.workers(), now)), 200)
        )
        home.store.heartbeat(worker_id).result()
        assert "it runs: cut-off is in step run" in why(home, handle.pid).sentence


def test_a_store_that_is_silent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither answers nor fails: a frozen server does so. The worker's log tells, and its troubles do."""
    monkeypatch.setattr("quince.recovery.lease.EXPIRY_SECONDS", 0.0)
    side = SideTasks(StructuredLogger("quince.worker"), (StoreUnavailable,))
    with Lease(silent(), "here:1:aa", tmp_path / "lock", lambda: None, side) as lease:
        lease.beat()
        assert any("has not answered" in sentence for sentence in side.sentences())


def silent() -> Any:
    """A store that does not answer."""
    return SimpleNamespace(heartbeat=lambda worker_id, **said: Future())


def _submitted(home: Workspace, class_path: str) -> ProcessHandle:
    """A process whose class nobody here has loaded."""
    (pid,) = home.store.allocate_pids(1)
    home.store.insert([NewProcess(pid, class_path, encode({}))]).result()
    row = home.store.get(pid)
    assert row is not None
    enqueue(home, [row])
    return ProcessHandle(pid, home)
