"""Priorities on every kind of store: who is claimed first, what children have, and what is changed later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quince_persistence.records import Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def claimed(
    store: Store, *pids: int, queues: tuple[str, ...] = ("default",), leaving: tuple[int, ...] = ()
) -> list[int]:
    claims = store.claim(pids, "w", queues=queues, leaving=leaving).result()
    return [claim.row.pid for claim in claims]


def test_the_first_in_priority_is_taken_whichever_was_named(store: Store) -> None:
    low = list(born(store, 3))
    (urgent,) = born(store, priority=7)
    (next_,) = born(store, priority=3)
    (elsewhere,) = born(store, priority=9, queue="gpu")
    assert claimed(store, low[0], leaving=(urgent,)) == [next_]
    assert claimed(store, low[0], low[1]) == [urgent, low[0]]
    assert claimed(store, low[1], queues=("default", "gpu")) == [elsewhere]
    assert claimed(store, low[1], low[2]) == [low[1], low[2]]


def test_of_equals_those_are_taken_that_were_named(store: Store) -> None:
    some = list(born(store, 5, priority=5))
    assert claimed(store, some[3], some[1]) == [some[3], some[1]]
    assert claimed(store, some[1], some[0], some[2]) == [some[0], some[2]]  # the task of one was an old one


def test_without_queues_nothing_else_is_taken(store: Store) -> None:
    (low,) = born(store, queue="run:1")
    born(store, priority=9)
    assert claimed(store, low, queues=()) == [low]


def test_what_is_on_another_queue_by_now_is_not_taken(store: Store) -> None:
    (pid,) = born(store, queue="gpu")
    assert claimed(store, pid) == []
    assert claimed(store, pid, queues=("gpu",)) == [pid]


def test_paused_ones_and_those_that_wait_come_before_nobody(store: Store) -> None:
    (low,) = born(store)
    store.insert(new(store, priority=9, paused=True)).result()
    (claim,) = held(store, "w", priority=9)
    step(store, claim, State.WAITING, due=1e12, release=True)
    assert claimed(store, low) == [low]


def test_many_claims_of_one_commit_share_what_comes_first(store: Store) -> None:
    low = list(born(store, 20))
    urgent = list(born(store, 8, priority=5))
    futures = [store.claim([pid], "w", queues=("default",)) for pid in low]
    taken = [claim.row.pid for future in futures for claim in future.result()]
    assert sorted(taken[:8]) == urgent
    assert len(set(taken)) == len(taken) == 20


def test_children_have_the_priority_that_their_parent_has_by_now(store: Store) -> None:
    (claim,) = held(store, "w", priority=2)
    row = claim.row
    same = new(store, parent=row.pid, root=row.pid, priority=2, inherits=("queue", "priority"))
    own = new(store, parent=row.pid, root=row.pid, priority=2, inherits=("queue",))
    made = Step(row.pid, "w", row.epoch, State.RUNNING, children=[*same, *own])
    assert store.commit(made).result().woken == []
    assert [child.priority for child in store.tree(row.pid)] == [2, 2, 2]
    store.place(Selection(pids=[row.pid]), author="ada", priority=7, queue="gpu").result()
    same = new(store, parent=row.pid, root=row.pid, priority=2, inherits=("queue", "priority"))
    own = new(store, parent=row.pid, root=row.pid, priority=3, inherits=("queue",))
    made = Step(row.pid, "w", row.epoch, State.RUNNING, children=[*same, *own])
    moved = {one.pid: (one.queue, one.priority) for one in store.commit(made).result().woken}
    assert moved == {same[0].pid: ("gpu", 7), own[0].pid: ("gpu", 3)}
    released = store.release(row.pid, "w", row.epoch).result().itself
    assert released is not None
    assert (released.queue, released.priority) == ("gpu", 7)


def placed(store: Store, *pids: int, **where: Any) -> list[ControlOutcome]:
    return list(store.place(Selection(pids=pids), author="ada", **where).result())


def test_placed_in_every_state(store: Store) -> None:
    """Queued ones are to be sent anew, owned ones keep their owner, ended ones are refused."""
    (queued,) = born(store)
    paused = store.insert(new(store, paused=True)).result()[0]
    (running,) = held(store, "w")
    (waiting,) = held(store, "w")
    step(store, waiting, State.WAITING, due=1e12, release=True)
    (ended,) = held(store, "w")
    finish(store, ended)
    pids = [queued, paused, running.row.pid, waiting.row.pid, ended.row.pid, 4711]
    outcomes = placed(store, *pids, queue="gpu", priority=7)
    assert [(one.pid, one.applied, len(one.woken)) for one in outcomes] == [
        (queued, True, 1), (paused, True, 0), (running.row.pid, True, 0), (waiting.row.pid, True, 0),
        (ended.row.pid, False, 0), (4711, False, 0),
    ]  # fmt: skip
    assert (outcomes[0].woken[0].queue, outcomes[0].woken[0].priority) == ("gpu", 7)
    rows = [row for pid in pids[:4] if (row := store.get(pid)) is not None]
    assert [(row.queue, row.priority) for row in rows] == [("gpu", 7)] * 4
    assert rows[2].owner == "w"
    assert [(e.body, e.author) for e in store.events(queued)][-1:] == [
        ({"verb": "set", "queue": "gpu", "priority": 7}, "ada")
    ]
    assert placed(store, queued, priority=7)[0].woken == ()
    assert len(store.events(queued)) == 1
    assert claimed(store, queued) == []
    assert claimed(store, queued, queues=("gpu",)) == [queued]
    finish(store, running)
    (mine,) = born(store, queue="run:w")
    (refused,) = placed(store, mine, queue="gpu")
    assert "belongs to a run()" in str(refused.refused)
    assert placed(store, mine, priority=3)[0].applied


def test_a_tree_is_placed_as_a_whole(store: Store) -> None:
    (claim,) = held(store, "w")
    row = claim.row
    children = new(store, 3, parent=row.pid, root=row.pid)
    store.commit(Step(row.pid, "w", row.epoch, State.RUNNING, children=children)).result()
    outcomes = store.place(Selection(trees=[row.pid]), author="ada", priority=5).result()
    assert [len(one.woken) for one in outcomes] == [0, 1, 1, 1]
    assert {one.priority for one in store.tree(row.pid)} == {5}


def test_set_against_claim(stores: tuple[Store, Store]) -> None:
    """Whoever comes first: none is lost, and none is claimed from a queue on which it is not any more."""
    first, second = stores
    pids = list(born(first, 60))
    with ThreadPoolExecutor(2) as threads:
        moving = threads.submit(lambda: [placed(first, pid, queue="gpu", priority=7)[0] for pid in pids])
        taken = [pid for one in pids for pid in claimed(second, one)]
        outcomes = moving.result()
    told = {outcome.pid for outcome in outcomes if outcome.woken}
    rows = {row.pid: row for row in first.select(Selection())}
    assert {row.queue for row in rows.values()} == {"gpu"}
    assert told | set(taken) == set(pids)
    assert not told & set(taken)
    assert all((rows[pid].owner is None) == (pid in told) for pid in pids)
    assert sorted(pid for one in sorted(told) for pid in claimed(first, one, queues=("gpu",))) == sorted(told)
