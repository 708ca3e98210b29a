"""Workers on every store: heartbeats, deaths, sweeps."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from quince_persistence.errors import StoreUnavailable, UnknownWorker
from quince_persistence.records import MAX_DEATHS, Control, NewEvent, Selection, State
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from quince_persistence.writing.operations.workers import ReleaseWorker
from tests.contracts.store_backends import born, finish, held, step, store, store_url

__all__ = ["store", "store_url"]

LONG = 3600.0
AT_ONCE = -3600.0  # every heartbeat, however fresh, is older than that


def registered(store: Store, worker_id: str) -> WorkerRow:
    worker = WorkerRow(
        worker_id, "host", 7, "one", ("default", "fast"), 4, "/tmp/lock", "running", time.time(), 0.0
    )
    store.register_worker(worker).result()
    return worker


def test_a_worker_is_registered_with_a_heartbeat_of_now(store: Store) -> None:
    worker = registered(store, "w")
    held(store, "w", 2)
    (found,) = store.workers()
    assert found == replace(worker, heartbeat=found.heartbeat, held=2)
    assert abs(found.heartbeat - time.time()) < 5
    store.heartbeat("w", state="draining").result()
    (later,) = store.workers()
    assert later.state == "draining"
    assert later.heartbeat > found.heartbeat


def test_registering_again_replaces_the_row(store: Store) -> None:
    registered(store, "w")
    registered(store, "w")
    assert len(store.workers()) == 1


def test_one_that_was_declared_dead_learns_it_from_its_heartbeat(store: Store) -> None:
    registered(store, "w")
    store.release_worker("w").result()
    with pytest.raises(UnknownWorker, match="declared dead"):
        store.heartbeat("w").result()


def test_an_owner_that_cannot_go_on_gives_back_what_waits_for_nothing(store: Store) -> None:
    lost, other = held(store, "w", 2)
    assert store.claims("w") == {lost.row.pid: 1, other.row.pid: 1}
    step(store, lost, State.WAITING)
    assert store.release(lost.row.pid, "w", 1).result().kept
    assert store.release(lost.row.pid, "w", 1, always=True).result().ready
    assert store.release(lost.row.pid, "w", 1, always=True).result().fenced
    assert store.claims("w") == {other.row.pid: 1}


def test_who_ends_in_order_leaves_what_a_death_leaves_and_nobody_is_blamed(store: Store) -> None:
    registered(store, "w")
    running, paused, doomed = held(store, "w", 3)
    for verb, claim in ((Control.PAUSE, paused), (Control.KILL, doomed)):
        store.control(verb, Selection(pids=[claim.row.pid]), author="ann").result()
    woken = store.release_worker("w", died=False).result()
    assert [(one.pid, one.owner) for one in woken] == [(running.row.pid, None)]
    rows = {row.pid: row for row in store.select(Selection())}
    assert [rows[claim.row.pid].deaths for claim in (running, paused, doomed)] == [0, 0, 0]
    assert rows[paused.row.pid].paused
    assert rows[doomed.row.pid].state is State.KILLED
    assert store.owners() == {}
    assert store.workers() == []


def test_a_dead_worker_loses_its_processes(store: Store) -> None:
    registered(store, "w")
    running, waiting, paused = held(store, "w", 3)
    (child,) = held(store, "other")
    step(store, running, State.RUNNING, checkpoint=b"ctx")
    step(store, waiting, State.WAITING, awaits=[child.row.pid])
    store.control(Control.PAUSE, Selection(pids=[paused.row.pid]), author="ann", reason="r").result()
    woken = store.release_worker("w").result()
    assert [(one.pid, one.owner) for one in woken] == [(running.row.pid, None)]
    rows = {row.pid: row for row in store.select(Selection())}
    assert (rows[running.row.pid].owner, rows[running.row.pid].epoch) == (None, 1)
    assert (rows[running.row.pid].deaths, rows[running.row.pid].ready) == (1, True)
    assert (rows[paused.row.pid].paused, rows[paused.row.pid].intent) == (True, None)
    assert rows[child.row.pid].owner == "other"
    assert finish(store, running).fenced
    (again,) = store.claim([running.row.pid], "w2").result()
    assert (again.row.epoch, again.checkpoint) == (2, b"ctx")
    assert store.release_worker("w").result() == []


def test_a_kill_intent_is_applied_when_its_owner_dies(store: Store) -> None:
    (parent,) = held(store, "p")
    (claim,) = held(store, "w")
    pid = claim.row.pid
    step(store, parent, State.WAITING, awaits=[pid], release=True)
    store.control(Control.KILL, Selection(pids=[pid]), author="ann", reason="enough").result()
    assert [one.pid for one in store.release_worker("w").result()] == [parent.row.pid]
    row = store.get(pid)
    assert row is not None
    assert (row.state, row.status) == (State.KILLED, "enough")


def test_workers_that_die_with_a_process_are_counted_and_held_against_nobody(store: Store) -> None:
    (pid,) = born(store)
    for number in range(2 * MAX_DEATHS):
        (_,) = store.claim([pid], f"w{number}").result()
        (woken,) = store.release_worker(f"w{number}").result()
    assert (woken.pid, woken.owner) == (pid, None)
    row = store.get(pid)
    assert row is not None
    assert (row.deaths, row.deaths_alone, row.ready) == (2 * MAX_DEATHS, 0, True)


def test_the_death_of_a_step_host_counts_once_and_its_process_stays_where_it_is(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    event = NewEvent("death", {"text": "its step host was ended by SIGSEGV", "worker": "w"}, "quince")
    for _ in range(2):  # nobody knew whether it was written
        outcome = store.record_death(pid, "w", 1, event, deaths=1, alone=True).result()
        assert (outcome.fenced, outcome.state) == (False, State.RUNNING)
    store.record_death(pid, "w", 1, event, deaths=2, alone=False).result()
    row = store.get(pid)
    assert row is not None
    assert (row.owner, row.deaths, row.deaths_alone) == ("w", 2, 1)
    assert [line.body for line in store.events(pid) if line.kind == "death"] == [event.body] * 2
    step(store, claim, State.RUNNING, checkpoint=b"on")
    row = store.get(pid)
    assert row is not None
    assert (row.deaths, row.deaths_alone) == (0, 0), "in a row"


def test_who_has_lost_a_claim_counts_no_deaths(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.release_worker("w", died=False).result()
    event = NewEvent("death", {"text": "its step host exited"}, "quince")
    assert store.record_death(pid, "w", 1, event, deaths=1, alone=True).result().fenced
    assert [line for line in store.events(pid) if line.kind == "death"] == []


def test_a_kill_that_was_asked_for_holds_when_a_step_host_dies(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    store.control(Control.KILL, Selection(pids=[pid]), author="ann").result()
    event = NewEvent("death", {"text": "its step host exited"}, "quince")
    assert store.record_death(pid, "w", 1, event, deaths=1, alone=True).result().intent is Control.KILL
    assert store.release(pid, "w", 1).result().state is State.KILLED


def test_an_error_keeps_the_deaths_that_may_be_its_cause(store: Store) -> None:
    (claim,) = held(store, "w")
    event = NewEvent("death", {"text": "its step host exited"}, "quince")
    store.record_death(claim.row.pid, "w", 1, event, deaths=1, alone=True).result()
    step(store, claim, State.EXCEPTED)
    row = store.get(claim.row.pid)
    assert row is not None
    assert (row.deaths, row.deaths_alone) == (1, 1)


def test_a_step_that_begins_after_what_it_waited_for_is_at_work_too(store: Store) -> None:
    """Its row still says that it waits."""
    (woken, bystander) = held(store, "w", 2)
    (child,) = held(store, "other")
    step(store, woken, State.WAITING, awaits=[child.row.pid])
    finish(store, child)
    store.release_worker("w").result()
    rows = {row.pid: row.deaths for row in store.select(Selection(live=True))}
    assert rows == {woken.row.pid: 1, bystander.row.pid: 1}


def test_the_death_of_a_worker_is_told_to_nobody_who_was_not_at_work(store: Store) -> None:
    (waiting,) = held(store, "w")
    (child,) = held(store, "other")
    step(store, waiting, State.WAITING, awaits=[child.row.pid])
    store.release_worker("w").result()
    rows = {row.deaths for row in store.select(Selection())}
    assert rows == {0}
    assert not [line for line in store.events(waiting.row.pid) if line.kind == "death"]


# Sweeps


def test_a_sweep_of_a_healthy_store_finds_nothing(store: Store) -> None:
    registered(store, "w")
    held(store, "w")
    born(store)
    found = store.sweep(expiry=LONG, stale=LONG).result()
    assert (found.enqueue, found.due, found.dead) == ([], [], [])


def test_ready_processes_whose_task_may_be_lost_are_found(store: Store) -> None:
    (lost,) = born(store, queue="fast", priority=4)
    born(store, paused=True)
    (claim,) = held(store, "w")
    (found,) = store.sweep(expiry=LONG, stale=AT_ONCE).result().enqueue
    assert (found.pid, found.owner, found.queue, found.priority) == (lost, None, "fast", 4)
    store.release(claim.row.pid, "w", 1).result()
    swept = store.sweep(expiry=LONG, stale=AT_ONCE).result().enqueue
    assert {one.pid for one in swept} == {lost, claim.row.pid}


def test_silent_workers_are_found_and_left_to_the_caller(store: Store) -> None:
    registered(store, "w")
    (claim,) = held(store, "w")
    (dead,) = store.sweep(expiry=AT_ONCE, stale=LONG).result().dead
    assert dead.id == "w"
    row = store.get(claim.row.pid)
    assert row is not None
    assert row.owner == "w"


def test_owners_without_a_row_are_found(store: Store) -> None:
    held(store, "host:123:abcd", 2)
    assert store.sweep(expiry=LONG, stale=LONG).result().dead == []
    (dead,) = store.sweep(expiry=AT_ONCE, stale=LONG).result().dead
    assert (dead.id, dead.host, dead.ospid, dead.state) == ("host:123:abcd", "host", 123, "lost")
    assert len(store.release_worker(dead.id).result()) == 2


def test_what_was_queued_for_a_worker_alone_moves_when_it_is_released(store: Store) -> None:
    """In whatever state; also what another worker holds."""
    idle, ended, own, others, waiting, paused = born(store, 6, queue="gone")
    (other,) = born(store, queue="fast")
    for claim in store.claim([ended], "w").result():
        finish(store, claim)
    store.claim([own], "w").result()
    store.claim([others], "other").result()
    for claim in store.claim([waiting], "w").result():
        step(store, claim, State.WAITING, awaits=[other], release=True)
    store.control(Control.PAUSE, Selection(pids=[paused]), author="ann").result()
    woken = store.release_worker("w", queues=("gone", "default")).result()
    assert sorted((one.pid, one.owner, one.queue) for one in woken) == [
        (idle, None, "default"), (own, None, "default"),
    ]  # fmt: skip
    queues = {row.pid: row.queue for row in store.select(Selection())}
    moved = dict.fromkeys((idle, own, others, waiting, paused), "default")
    assert queues == {**moved, ended: "gone", other: "fast"}
    assert store.release_worker("w", queues=("gone", "default")).result() == []


def test_a_failure_in_the_middle_of_a_release_leaves_all_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is still there to be found dead, with all that it holds and all that is queued for it."""
    registered(store, "w")
    queued, owned = born(store, 2, queue="gone")
    store.claim([owned], "w").result()

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(ReleaseWorker, "_tell", fail)  # its row has gone by then, and its queue has moved
        with pytest.raises(StoreUnavailable, match="in the middle"):
            store.release_worker("w", queues=("gone", "default")).result()
    assert [worker.id for worker in store.workers()] == ["w"]
    assert store.claims("w").keys() == {owned}
    assert {row.queue for row in store.select(Selection())} == {"gone"}
    woken = store.release_worker("w", queues=("gone", "default")).result()
    assert {(one.pid, one.queue) for one in woken} == {(queued, "default"), (owned, "default")}
    assert store.workers() == []


def test_every_attempt_and_every_death_is_in_the_history(store: Store) -> None:
    (claim,) = held(store, "w1")
    pid = claim.row.pid
    step(store, claim, State.RUNNING, checkpoint=b"one", step="two")
    store.release_worker("w1").result()
    (again,) = store.claim([pid], "w2").result()
    store.release(pid, "w2", again.row.epoch).result()  # w2 stops in good order
    (last,) = store.claim([pid], "w3").result()
    step(store, last, State.WAITING, due=0.0)
    store.release_worker(
        "w3", silent=True
    ).result()  # nothing was running that it could have harmed, or that harmed it
    told = "worker w1 died while it held this process, in step two"
    assert [(event.kind, dict(event.body), event.author) for event in store.events(pid)] == [
        ("state", {"from": "created", "to": "running"}, "w1"),
        ("death", {"text": told, "worker": "w1", "step": "two"}, "quince"),
        ("claim", {"step": "two"}, "w2"),
        ("claim", {"step": "two"}, "w3"),
        ("state", {"from": "running", "to": "waiting"}, None),
    ]
