"""Whatever fails beside a worker's processes, and however: the work goes on, and it is told."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import quince.recovery.lease
from quince.diagnosis.doctor import doctor
from quince.recovery import sweeper as recovery
from quince.recovery.lease import Lease
from quince.recovery.sweeper import Sweeper
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_messaging import side_tasks as sidetasks
from quince_persistence.writing.group_commit import GroupCommit
from tests.integration.side_work import AtWork, ended, strike, until, without_a_doorbell
from tests.services import RabbitMQ

EMBEDDED = {"the sweep", "who is told of what"}
SERVERS = EMBEDDED | {
    "the connection to the broker",
    "watching for heartbeats",
    "renewing what is held of quince.tasks.p9.default",
    "renewing what is held of quince.tasks.p9.control",
}
FAILURES = [OSError(5, "Input/output error"), MemoryError(), asyncio.CancelledError(), None]
PARTS = ["_release_dead", "_apply_missed_controls", "_compare_claims", "_sweep"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidetasks, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(recovery, "STALE_SECONDS", 0.2)
    monkeypatch.setattr(recovery, "DEATH_SECONDS", 0.1)
    monkeypatch.setattr(recovery, "SWEEP_SECONDS", 0.2)
    monkeypatch.setattr(quince.recovery.lease, "HEARTBEAT_SECONDS", 0.1)


@pytest.fixture
def at_work(location: Location) -> Iterator[AtWork]:
    with AtWork(location) as working:
        yield working


def test_all_of_them_go_on_after_whatever_fails(location: Location, home: Workspace, at_work: AtWork) -> None:
    """Each is struck in the middle, by an error, by want of memory, by a cancellation from inside, and by a
    stranger who cancels it; then all that it is there for still works."""
    names = {re.sub(r"\.[0-9a-f]{12}\b", "", kept.name) for _, kept in at_work.kept()}  # the store's identity
    assert names == (EMBEDDED if location.embedded else SERVERS), "one is missing here, or new: strike it too"
    for _, kept in at_work.kept():
        for failure in FAILURES:
            strike(kept, failure)
    pids = without_a_doorbell(home, 3)
    until(lambda: ended(home, pids), "lost doorbells are rung again")
    assert home.communicator.rpc_call(at_work.worker.id, {"verb": "present"}, timeout=10)
    if not location.embedded:
        assert "the connection to the broker failed" in " ".join(at_work.worker.side.sentences())
        link_of(at_work).abort()
        pids = without_a_doorbell(home)
        until(lambda: ended(home, pids), "the link is made again")


def link_of(at_work: AtWork) -> Any:
    communicator: Any = at_work.worker.outbox._communicator
    link = communicator._transport._session._connection

    class Link:
        def abort(self) -> None:
            communicator._thread.post(link.abort)

    return Link()


@pytest.mark.parametrize("failure", [MemoryError(), ValueError("?")], ids=repr)
def test_no_part_of_the_sweep_is_kept_from_being_done_by_another(
    home: Workspace, at_work: AtWork, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    async def fail(self: Sweeper) -> None:
        raise failure

    for part in PARTS[:3]:
        monkeypatch.setattr(Sweeper, part, fail)
    pids = without_a_doorbell(home)
    until(lambda: ended(home, pids), "the last part of the sweep is done although those before it fail")
    told = until(lambda: home.store.workers()[0].troubles, "the worker tells of it")
    assert told[0].startswith("the sweep failed")
    assert type(failure).__name__ in told[0]
    assert any(one.about == "worker" and "the sweep failed" in one.sentence for one in doctor(home))
    monkeypatch.undo()
    until(lambda: not home.store.workers()[0].troubles, "the worker is well again")


def test_the_threads_of_a_worker_go_on_after_whatever_fails(
    home: Workspace, at_work: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeat's, and the one that writes for all."""

    def beats() -> float:
        return home.store.workers()[0].heartbeat

    def gone_on(before: float) -> bool:
        return beats() > before

    for failure in (MemoryError(), SystemExit(1), asyncio.CancelledError()):
        failed = threading.Event()

        def fail(*_: object, raised: BaseException = failure, done: threading.Event = failed) -> Any:
            done.set()
            raise raised

        for kind, name in ((Lease, "beat"), (GroupCommit, "_settle")):
            failed.clear()
            with monkeypatch.context() as patch:
                patch.setattr(kind, name, fail)
                assert failed.wait(10)
            before = beats()
            until(partial(gone_on, before), f"heartbeats come after {failure!r} in {name}")
    pids = without_a_doorbell(home)
    until(lambda: ended(home, pids), "work goes on")


def test_a_step_that_gets_no_thread_waits_and_is_tried_again(
    home: Workspace, at_work: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("quince-step"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        (pid,) = without_a_doorbell(home)
        told = until(lambda: home.store.workers()[0].troubles, "the worker tells of it")
        assert "can't start new thread" in told[0]
        row = home.store.get(pid)
        assert row is not None
        assert row.state.value in ("created", "running")
    until(lambda: ended(home, [pid]), "the step is run when there are threads again")


def test_every_thread_is_one_that_goes_on_by_itself(at_work: AtWork) -> None:
    """A new one that nobody keeps going fails here."""
    kept = {
        "SideTasks.thread.<locals>.run",  # begun again
        "ThreadPool._work",  # a job's failure is no reason to end; tests/unit/messaging/test_thread_pool.py
        "LoopThread._main",  # its loop goes on; tests/unit/messaging/test_commthread.py
        "GroupCommit._work",  # see above
        "BackgroundSender._work",  # ends by itself, and is begun with the next thing to be told
    }
    threads = [one for one in threading.enumerate() if one.name.startswith("quince")]
    targets = {getattr(getattr(one, "_target", None), "__qualname__", one.name) for one in threads}
    assert targets <= kept


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_rights_on_the_broker_that_are_revoked_and_given_back(
    tmp_path: Path, postgres_url: str, rabbitmq_url: str, rabbitmq_server: RabbitMQ
) -> None:
    location = Location(tmp_path, postgres_url, rabbitmq_url)
    address = urlsplit(rabbitmq_url)
    user, host = unquote(address.username or "guest"), unquote(address.path[1:])
    with Workspace(location) as home, AtWork(location) as at_work:
        rabbitmq_server.ctl("clear_permissions", "-p", host, user)
        try:
            pids = without_a_doorbell(home)
            told = until(at_work.worker.side.sentences, "the worker tells that it has no rights")
            assert any("the sweep failed" in one for one in told)
        finally:
            rabbitmq_server.ctl("set_permissions", "-p", host, user, ".*", ".*", ".*")
        until(lambda: ended(home, pids), "work goes on when it has them again")
        until(lambda: not at_work.worker.side.sentences() or None, "all is well again")
