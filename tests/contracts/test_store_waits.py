"""Waiting for the first of several, or at most for a time, on every store; children that a step kills."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import func, select

from quince_persistence.databases.opening import database_of
from quince_persistence.errors import RecordRefused
from quince_persistence.records import Claim, Control, NewProcess, NewSignal, ProcessRow, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.schema.tables import awaits
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def row(store: Store, pid: int) -> ProcessRow:
    found = store.get(pid)
    assert found is not None
    return found


def remembered(url: str) -> int:
    """How many waits for processes are kept."""
    database = database_of(url)
    try:
        with database.engine().connect() as connection:
            return int(connection.execute(select(func.count()).select_from(awaits)).scalar_one())
    finally:
        database.dispose()


def waiting(store: Store, children: Sequence[int], **fields: Any) -> tuple[int, Claim]:
    (claim,) = held(store, "w")
    step(store, claim, State.WAITING, awaits=children, **{"release": True, **fields})
    return claim.row.pid, claim


def ends(store: Store, pid: int) -> list[int]:
    """Whom its end makes ready."""
    (claim,) = store.claim([pid], "v").result()
    return [one.pid for one in finish(store, claim).woken]


def swept(store: Store) -> list[int]:
    return [one.pid for one in store.sweep(expiry=60, stale=60).result().due]


def send(store: Store, pid: int, name: str) -> list[int]:
    (sent,) = store.send([NewSignal(pid, name, b"")], author="ada").result()
    return [one.pid for one in sent.woken]


@pytest.mark.parametrize("first", ["child", "signal", "timer"])
@pytest.mark.parametrize("kept", [False, True], ids=["released", "kept"])
def test_the_first_ends_the_wait(store: Store, store_url: str, first: str, kept: bool) -> None:
    a, b = born(store, 2)
    due = time.time() + (-1 if first == "timer" else 600)
    pid, claim = waiting(
        store, [a, b], signals=["x", "y"], wait_any=True, wait_due=True, due=due, release=not kept
    )
    stands = row(store, pid)
    assert (stands.awaiting, stands.wait_any, stands.ready) == (4, True, False)
    acts = {
        "child": lambda: ends(store, b),
        "signal": lambda: send(store, pid, "y"),
        "timer": lambda: swept(store),
    }
    assert acts[first]() == [pid]
    stands = row(store, pid)
    assert (stands.awaiting, stands.wait_any, stands.ready, stands.due, stands.signals) == (
        0,
        False,
        True,
        None,
        (),
    )
    assert remembered(store_url) == 0
    assert ends(store, a) == []  # nobody waits for it
    assert send(store, pid, "x") == []
    assert swept(store) == []
    if kept:
        assert (
            step(store, claim, State.WAITING, awaits=[a], signals=["x"]).awaiting == 0
        )  # it has come meanwhile


@pytest.mark.parametrize("order", list(permutations(["child", "signal"])))
def test_all_before_the_time_is_over(store: Store, store_url: str, order: Sequence[str]) -> None:
    (child,) = born(store)
    pid, _ = waiting(store, [child], signals=["x"], wait_due=True, due=time.time() + 600)
    acts = {"child": lambda: ends(store, child), "signal": lambda: send(store, pid, "x")}
    assert [acts[one]() for one in order] == [[], [pid]]
    stands = row(store, pid)
    assert (stands.awaiting, stands.due, stands.ready) == (0, None, True)
    assert (swept(store), remembered(store_url)) == ([], 0)


def test_the_time_is_over_for_everything(store: Store, store_url: str) -> None:
    a, b = born(store, 2)
    pid, _ = waiting(store, [a, b], signals=["x"], wait_due=True, due=time.time() + 0.3)
    assert ends(store, a) == []
    time.sleep(0.3)
    assert (swept(store), swept(store)) == ([pid], [])
    assert row(store, pid).ready
    assert remembered(store_url) == 0
    assert ends(store, b) == []
    assert row(store, pid).awaiting == 0


@pytest.mark.parametrize("mode", [{"wait_any": True}, {"wait_due": True, "due": 9e9}])
def test_what_has_come_before_is_not_waited_for(store: Store, mode: dict[str, Any]) -> None:
    done, alive = born(store, 2)
    ends(store, done)
    enough = [done] if "due" in mode else [alive, done]
    (claim,) = held(store, "w")
    assert step(store, claim, State.WAITING, awaits=enough, **mode).awaiting == 0
    assert row(store, claim.row.pid).due is None
    assert step(store, claim, State.WAITING, awaits=[], **mode).awaiting == 0
    assert step(store, claim, State.WAITING, awaits=[alive], **mode).awaiting == 1
    send(store, claim.row.pid, "x")
    assert step(store, claim, State.WAITING, awaits=enough, signals=["x"], **mode).awaiting == 0


def test_a_wait_in_another_way_forgets_how_the_last_one_was(store: Store) -> None:
    a, b, c = born(store, 3)
    (claim,) = held(store, "w")
    step(store, claim, State.WAITING, awaits=[a, b], wait_any=True, wait_due=True, due=time.time() + 0.01)
    ends(store, a)
    step(store, claim, State.WAITING, awaits=[b, c], due=time.time() + 0.01)
    time.sleep(0.02)
    assert swept(store) == []
    assert row(store, claim.row.pid).awaiting == 2
    assert ends(store, b) == []
    assert ends(store, c) == [claim.row.pid]


@pytest.mark.parametrize("paused", [False, True])
def test_a_pause_or_kill_meanwhile(store: Store, store_url: str, paused: bool) -> None:
    a, b = born(store, 2)
    pid, _ = waiting(store, [a, b], wait_any=True, wait_due=True, due=time.time() - 1)
    chosen = Selection(pids=[pid])
    store.control(Control.PAUSE if paused else Control.KILL, chosen, author="ada").result()
    assert swept(store) == []  # nobody is ready
    assert ends(store, a) == []
    if paused:
        (played,) = store.control(Control.PLAY, chosen, author="ada").result()
        assert [one.pid for one in played.woken] == [pid]
    assert remembered(store_url) == 0
    assert row(store, pid).state is (State.WAITING if paused else State.KILLED)


def test_ends_and_timers_at_once_wake_once(stores: tuple[Store, Store]) -> None:
    """Two programs end the children of many waits, and a third one sweeps: each is woken by one of them."""
    one, other = stores
    woken: list[int] = []
    pids, children = [], []
    for number in range(40):
        pair = born(one, 2)
        children.append([one.claim([pair[0]], "v").result()[0], one.claim([pair[1]], "v").result()[0]])
        pids.append(waiting(one, pair, wait_any=True, wait_due=True, due=time.time() + number % 3 / 100)[0])
    futures: list[Any] = []
    for first, second in children:
        for program, claim in ((one, first), (other, second)):
            futures.append(program.commit(Step(claim.row.pid, "v", 1, State.FINISHED, exit_status=0)))
        futures.append(other.sweep(expiry=60, stale=60))
    for future in futures:
        found = future.result()
        woken += [each.pid for each in (found.woken if hasattr(found, "woken") else found.due)]
    woken += swept(one)
    assert sorted(woken) == pids
    assert all(row(one, pid).awaiting == 0 for pid in pids)


def test_a_step_kills_children(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    idle, busy, below, late = store.allocate_pids(4)
    step(
        store,
        claim,
        State.RUNNING,
        children=[NewProcess(one, "a:A", b"", parent=pid) for one in (idle, busy)],
    )
    store.insert([NewProcess(below, "a:A", b"", parent=idle)]).result()
    (working,) = store.claim([busy], "v").result()
    outcome = step(
        store, claim, State.WAITING,
        children=[NewProcess(late, "a:A", b"", parent=pid)], kills=[idle, busy, late, idle],
        awaits=[idle, busy],
    )  # fmt: skip
    assert outcome.awaiting == 1
    assert {(one.pid, one.applied, one.owner) for one in outcome.cascade} == {
        (idle, True, None), (below, True, None), (late, True, None), (busy, False, "v"),
    }  # fmt: skip
    assert row(store, busy).intent is Control.KILL
    assert row(store, idle).status == f"killed by process {pid}"
    ended = step(store, working, State.RUNNING, release=True)
    assert (ended.state, [one.pid for one in ended.woken]) == (State.KILLED, [pid])
    assert step(store, claim, State.FINISHED, exit_status=0, kills=[busy]).state is State.FINISHED


def test_a_step_kills_no_strangers(store: Store) -> None:
    stranger, orphan = born(store), 10**12
    (claim,) = held(store, "w")
    for pid in (*stranger, orphan, claim.row.pid):
        with pytest.raises(
            RecordRefused, match=f"process {claim.row.pid} can kill its children, and {pid} is none"
        ):
            step(store, claim, State.RUNNING, kills=[pid])
    assert row(store, stranger[0]).state is State.CREATED
