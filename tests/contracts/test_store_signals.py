"""Signals on every kind of store: kept until they are used, counted off, dropped at the end."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from quince_persistence.databases.opening import database_of
from quince_persistence.records import Control, NewProcess, NewSignal, Selection, State
from quince_persistence.schema.tables import signals
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def send(store: Store, pid: int, *names: str) -> list[int]:
    """Send signals of these names, valued like them; the pids that became ready."""
    sent = store.send([NewSignal(pid, name, name.encode()) for name in names], author="ada").result()
    assert all(outcome.applied for outcome in sent)
    return [woken.pid for outcome in sent for woken in outcome.woken]


def kept(url: str) -> int:
    database = database_of(url)
    try:
        with database.engine().connect() as connection:
            return int(connection.execute(select(func.count()).select_from(signals)).scalar_one())
    finally:
        database.dispose()


def test_a_signal_wakes_who_waits_for_it(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    outcome = step(store, claim, State.WAITING, signals=["go"], release=True)
    assert (outcome.awaiting, outcome.ready) == (1, False)
    row = store.get(pid)
    assert row is not None
    assert row.signals == ("go",)
    assert send(store, pid, "other") == []
    assert send(store, pid, "go") == [pid]
    row = store.get(pid)
    assert row is not None
    assert (row.ready, row.awaiting, row.signals) == (True, 0, ())
    assert [(one.name, one.value, one.author) for one in store.signals(pid)] == [
        ("other", b"other", "ada"),
        ("go", b"go", "ada"),
    ]
    assert [(e.body, e.author) for e in store.events(pid) if e.kind == "signal"] == [
        ({"name": "other"}, "ada"),
        ({"name": "go"}, "ada"),
    ]


def test_a_signal_that_came_before_is_not_waited_for(store: Store) -> None:
    (claim,) = held(store, "w")
    send(store, claim.row.pid, "go", "go")
    assert step(store, claim, State.WAITING, signals=["go", "go", "go"]).awaiting == 1


def test_used_signals_go_with_the_step_that_used_them(store: Store, store_url: str) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    send(store, pid, "go", "go", "stay")
    assert step(store, claim, State.WAITING, signals=["go"]).awaiting == 0
    first, second, stay = store.signals(pid)
    assert step(store, claim, State.RUNNING, used=[first]).awaiting == 0
    assert list(store.signals(pid)) == [second, stay]
    assert step(store, claim, State.WAITING, signals=["go", "go"]).awaiting == 1
    finish(store, claim)
    assert kept(store_url) == 0


def test_a_killed_process_keeps_its_signals(store: Store, store_url: str) -> None:
    pid, other = born(store, 2)
    send(store, pid, "go")
    send(store, other, "go")
    store.control(Control.KILL, Selection(pids=[pid]), author="ada").result()
    assert kept(store_url) == 2


def test_who_has_ended_gets_none(store: Store, store_url: str) -> None:
    (claim,) = held(store, "w")
    finish(store, claim)
    ended, missing = store.send(
        [NewSignal(claim.row.pid, "go", b""), NewSignal(10**9, "go", b"")], author="ada"
    ).result()
    assert ended.refused == f"process {claim.row.pid} has terminated (finished)"
    assert (missing.found, missing.refused) == (False, f"there is no process {10**9}")
    assert kept(store_url) == 0


def test_a_fenced_step_uses_and_sends_nothing(store: Store, store_url: str) -> None:
    (claim,) = held(store, "w1")
    pid = claim.row.pid
    (other,) = born(store)
    send(store, pid, "go")
    store.release_worker("w1").result()
    used = store.signals(pid)
    assert step(store, claim, State.RUNNING, used=used, sends=[NewSignal(other, "x", b"")]).fenced
    assert kept(store_url) == 1


def test_a_step_sends_to_others_to_its_children_and_to_itself(store: Store) -> None:
    sender, waiting, ended = held(store, "w", 3)
    finish(store, ended)
    step(store, waiting, State.WAITING, signals=["go"], release=True)
    (child,) = store.allocate_pids(1)
    outcome = step(
        store,
        sender,
        State.WAITING,
        children=[NewProcess(child, "a:B", b"", parent=sender.row.pid)],
        signals=["me"],
        sends=[NewSignal(pid, name, b"v") for pid, name in (
            (waiting.row.pid, "go"), (ended.row.pid, "go"), (child, "go"), (sender.row.pid, "me")
        )],
    )  # fmt: skip
    assert [woken.pid for woken in outcome.signalled] == [waiting.row.pid, sender.row.pid]
    assert [one.author for one in store.signals(child)] == [f"process {sender.row.pid}"]
    assert store.signals(ended.row.pid) == []


def test_a_deadline_ends_the_wait_for_all_signals(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    outcome = step(
        store, claim, State.WAITING, signals=["a", "b"], due=time.time() - 1, deadline=True, release=True
    )
    assert outcome.awaiting == 2
    send(store, pid, "a")
    assert [one.pid for one in store.sweep(expiry=60, stale=60).result().due] == [pid]
    row = store.get(pid)
    assert row is not None
    assert (row.ready, row.awaiting, row.signals, row.due) == (True, 0, (), None)
    assert [one.name for one in store.signals(pid)] == ["a"]


def test_a_deadline_is_over_when_all_signals_have_come(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    step(store, claim, State.WAITING, signals=["a"], due=time.time() + 60, deadline=True, release=True)
    assert send(store, pid, "a") == [pid]
    row = store.get(pid)
    assert row is not None
    assert (row.ready, row.due) == (True, None)
    (claim,) = store.claim([pid], "w").result()
    send(store, pid, "a")
    assert step(store, claim, State.WAITING, signals=["a", "a"], due=time.time(), deadline=True).awaiting == 0
    assert store.sweep(expiry=60, stale=60).result().due == []


def test_a_deadline_leaves_children_to_be_waited_for(store: Store) -> None:
    parent, child = held(store, "w", 2)
    due = time.time() - 1
    outcome = step(
        store, parent, State.WAITING, awaits=[child.row.pid], signals=["a"], due=due, deadline=True
    )
    assert outcome.awaiting == 2
    assert store.sweep(expiry=60, stale=60).result().due == []
    row = store.get(parent.row.pid)
    assert row is not None
    assert row.awaiting == 1
    assert [one.pid for one in finish(store, child).woken] == [parent.row.pid]


def test_a_paused_process_is_signalled_and_goes_on_when_it_is_played(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    step(store, claim, State.WAITING, signals=["go"], release=True)
    store.control(Control.PAUSE, Selection(pids=[pid]), author="ada").result()
    assert send(store, pid, "go") == []
    (played,) = store.control(Control.PLAY, Selection(pids=[pid]), author="ada").result()
    assert [woken.pid for woken in played.woken] == [pid]


@pytest.mark.parametrize("signalled_first", [True, False])
def test_a_signal_comes_while_its_process_begins_to_wait(
    stores: tuple[Store, Store], signalled_first: bool
) -> None:
    """From two programs at once, many times: it is always seen."""
    here, there = stores
    claims = held(here, "w", 40)

    def wait(number: int) -> bool:
        outcome = step(here, claims[number], State.WAITING, signals=["go"], release=True)
        return outcome.kept or outcome.ready or not outcome.awaiting

    def signal(number: int) -> bool:
        return bool(send(there, claims[number].row.pid, "go"))

    calls = (signal, wait) if signalled_first else (wait, signal)
    with ThreadPoolExecutor(8) as pool:
        pairs = [[pool.submit(call, number) for call in calls] for number in range(len(claims))]
        assert all(sum(future.result() for future in pair) == 1 for pair in pairs)
