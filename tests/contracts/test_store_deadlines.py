"""Deadlines on every kind of store: what has not ended by then is killed with its tree, by any sweep."""

from __future__ import annotations

import time

import pytest

from quince_persistence.records import Control, NewProcess, Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def over(store: Store) -> list[ControlOutcome]:
    return list(store.sweep(expiry=60, stale=60).result().killed)


def row(store: Store, pid: int):  # type: ignore[no-untyped-def]
    found = store.get(pid)
    assert found is not None
    return found


def test_the_tree_of_one_that_is_too_late_is_killed(store: Store) -> None:
    (claim,) = held(store, "w", within=0.05)
    pid = claim.row.pid
    idle, busy, other = store.allocate_pids(3)
    children = [NewProcess(one, "a:A", b"", parent=pid) for one in (idle, busy)]
    assert (
        step(store, claim, State.WAITING, children=children, awaits=[idle, busy], release=True).awaiting == 2
    )
    (working,) = store.claim([busy], "v").result()
    store.insert([NewProcess(other, "a:A", b"", parent=busy)]).result()
    store.control(Control.PAUSE, Selection(pids=[idle]), author="ada").result()
    time.sleep(0.1)
    killed = over(store)
    assert [(one.pid, one.applied, one.owner) for one in killed] == [
        (pid, True, None), (idle, True, None), (busy, False, "v"), (other, True, None),
    ]  # fmt: skip
    assert (row(store, pid).status or "").startswith("its deadline (20")
    assert row(store, idle).status == row(store, pid).status.replace(
        "its deadline", f"the deadline of process {pid}"
    )
    assert row(store, busy).intent is Control.KILL
    assert over(store) == []
    assert step(store, working, State.RUNNING, release=True).state is State.KILLED
    (said,) = [event for event in store.events(pid) if event.kind == "control"]
    assert (said.author, said.body["verb"]) == ("quince", "kill")


def test_who_waits_for_it_is_woken(store: Store) -> None:
    (waits,) = held(store, "w")
    (late,) = born(store, within=0.02)
    step(store, waits, State.WAITING, awaits=[late], release=True)
    time.sleep(0.05)
    (killed,) = over(store)
    assert [one.pid for one in killed.woken] == [waits.row.pid]


@pytest.mark.parametrize("how", ["finished", "killed", "not yet"])
def test_nothing_is_done_to_what_has_ended_or_has_time_left(store: Store, how: str) -> None:
    (claim,) = held(store, "w", within=60.0 if how == "not yet" else 0.05)
    if how == "finished":
        finish(store, claim)
    elif how == "killed":
        store.control(Control.KILL, Selection(pids=[claim.row.pid]), author="ada", reason="enough").result()
        time.sleep(0.1)
    assert over(store) == []
    assert (row(store, claim.row.pid).deadline is None) is (how != "not yet")
    if how == "killed":  # the reason of the first kill stays
        assert row(store, claim.row.pid).intent_reason == "enough"


def test_a_moment_is_one_of_the_stores_clock(store: Store) -> None:
    until = store.clock() + 3600
    (pid,) = born(store, until=until)
    assert row(store, pid).deadline == pytest.approx(until)
    assert over(store) == []


def test_two_sweeps_kill_once(stores: tuple[Store, Store]) -> None:
    store, other = stores
    pids = born(store, 20, within=0.01)
    time.sleep(0.05)
    sweeps = [one.sweep(expiry=60, stale=60) for one in stores]
    assert sorted(one.pid for sweep in sweeps for one in sweep.result().killed) == list(pids)
    assert all(row(other, pid).state is State.KILLED for pid in pids)
