"""Results of once-blocks, and what a check-up reads, on every kind of store."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from quince_persistence.databases.opening import database_of
from quince_persistence.records import NewEvent, State
from quince_persistence.records.steps import Recorded
from quince_persistence.schema.tables import once
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def _kept(url: str) -> int:
    """How many results are in the table."""
    database = database_of(url)
    try:
        with database.engine().connect() as connection:
            return int(connection.execute(select(func.count()).select_from(once)).scalar_one())
    finally:
        database.dispose()


def test_a_result_is_kept_for_its_process_and_key(store: Store) -> None:
    one, two = held(store, "w1", 2)
    assert store.recorded(one.row.pid, "job") == Recorded("w1", 1, None)
    assert store.record_once(one.row.pid, "w1", 1, "job", b"42").result() is True
    assert store.recorded(one.row.pid, "job") == Recorded("w1", 1, b"42")
    assert store.recorded(one.row.pid, "other") == Recorded("w1", 1, None)
    assert store.recorded(two.row.pid, "job") == Recorded("w1", 1, None)
    assert store.recorded(10**9, "job") is None


def test_the_first_result_stays(store: Store) -> None:
    (claim,) = held(store, "w1")
    futures = [store.record_once(claim.row.pid, "w1", 1, "job", blob) for blob in (b"1", b"2", b"3")]
    assert [future.result() for future in futures] == [True, True, True]
    recorded = store.recorded(claim.row.pid, "job")
    assert recorded is not None
    assert recorded.result == b"1"


def test_a_fenced_worker_records_nothing(stores: tuple[Store, Store]) -> None:
    here, there = stores
    (claim,) = held(here, "w1")
    pid = claim.row.pid
    there.release_worker("w1").result()
    (again,) = there.claim([pid], "w2").result()
    assert here.record_once(pid, "w1", claim.row.epoch, "job", b"late").result() is False
    assert here.record_once(pid, "w2", claim.row.epoch, "job", b"of an old epoch").result() is False
    assert there.recorded(pid, "job") == Recorded("w2", again.row.epoch, None)
    assert there.record_once(pid, "w2", again.row.epoch, "job", b"right").result() is True


@pytest.mark.parametrize("end", ["finished", "killed"])
def test_results_go_when_the_process_ends_well(store: Store, store_url: str, end: str) -> None:
    claim, other = held(store, "w1", 2)
    for one in (claim, other):
        store.record_once(one.row.pid, "w1", 1, "job", b"42").result()
    step(store, claim, State.RUNNING, step="next", checkpoint=b"c")
    assert _kept(store_url) == 2, "a step that goes on keeps them"
    if end == "finished":
        finish(store, claim)
    else:
        step(store, claim, State.KILLED)
    left = 1 if end == "finished" else 2
    assert _kept(store_url) == left
    assert store.record_once(claim.row.pid, "w1", 1, "late", b"late").result() is False
    assert _kept(store_url) == left


def test_the_answer_comes_without_the_loop_that_resolves_the_others(store: Store) -> None:
    """A blocking step may wait for it on the very thread of the loop."""
    (claim,) = held(store, "w1")
    stuck = threading.Event()
    store.on_batch = lambda _resolve: stuck.set()
    report = store.report(claim.row.pid, [NewEvent("report", {})])
    assert store.record_once(claim.row.pid, "w1", 1, "job", b"42").result(10) is True
    assert stuck.wait(10)
    assert not report.done()
    store.on_batch = None


def test_a_check_up_sees_what_lives_and_who_holds_it(store: Store) -> None:
    running, ended = held(store, "w1", 2)
    finish(store, ended)
    step(store, running, State.RUNNING, step="next", checkpoint=b"c")
    (queued,) = born(store, 1, queue="q", priority=3)
    assert [(c.row.pid, c.inputs, c.checkpoint) for c in store.live()] == [
        (running.row.pid, b"inputs", b"c"),
        (queued, b"inputs", None),
    ]
    assert store.owners() == {"w1": 1}
    assert [(w.pid, w.queue, w.priority) for w in store.idle(-1)] == [(queued, "q", 3)]
    assert store.idle(60) == []
    assert store.damage() == []
    row = store.get(queued)
    assert row is not None
    assert abs(store.clock() - row.created) < 30


def test_a_check_up_reads_page_after_page(store: Store) -> None:
    store.insert(new(store, 1_201)).result()
    pids = [claim.row.pid for claim in store.live()]
    assert len(pids) == 1_201
    assert pids == sorted(set(pids))
