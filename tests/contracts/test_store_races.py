"""Races between two programs on one database, each by its name."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import pytest

from quince_persistence.records import Claim, Control, NewEvent, NewProcess, Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.steps import Step, StepOutcome
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store_url, stores

__all__ = ["store_url", "stores"]

ROUNDS = 40

Stores = tuple[Store, Store]
T = TypeVar("T")
U = TypeVar("U")


def at_once(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Run both, each in a thread of its own, as nearly at the same time as can be."""
    barrier = threading.Barrier(2)

    def first() -> T:
        barrier.wait()
        return one()

    def second() -> U:
        barrier.wait()
        return other()

    with ThreadPoolExecutor(2) as pool:
        ahead, behind = pool.submit(first), pool.submit(second)
        return ahead.result(), behind.result()


def control(store: Store, verb: Control, selection: Selection) -> Sequence[ControlOutcome]:
    return store.control(verb, selection, author="ann").result()


def release(store: Store, claim: Claim) -> StepOutcome:
    return store.release(claim.row.pid, "a", claim.row.epoch).result()


def insert(store: Store, processes: Sequence[NewProcess]) -> Sequence[int]:
    return store.insert(processes).result()


def test_two_stores_claim_at_once_and_one_wins(stores: Stores) -> None:
    first, second = stores
    pids = born(first, ROUNDS)
    shuffled = random.sample(list(pids), len(pids))

    def claim_all(store: Store, owner: str, order: list[int]) -> list[int]:
        futures = [store.claim([pid], owner) for pid in order]
        return [claim.row.pid for future in futures for claim in future.result()]

    one, two = at_once(lambda: claim_all(first, "a", list(pids)), lambda: claim_all(second, "b", shuffled))
    assert sorted(one + two) == list(pids)
    assert {row.epoch for row in first.select(Selection())} == {1}


def test_a_child_ends_while_its_parent_commits_waiting(stores: Stores) -> None:
    """Whoever comes first: the parent knows that nothing is outstanding, or is woken. Exactly once."""
    first, second = stores
    for evict in (False, True) * (ROUNDS // 2):
        (parent,) = held(first, "a")
        (child,) = held(second, "b")
        entered, ended = at_once(
            partial(step, first, parent, State.WAITING, awaits=[child.row.pid], release=evict),
            partial(finish, second, child),
        )
        knew = entered.awaiting == 0
        woken = [one.pid for one in ended.woken]
        assert woken == ([] if knew else [parent.row.pid])
        row = first.get(parent.row.pid)
        assert row is not None
        assert (row.awaiting, row.ready) == (0, True)
        assert row.owner == ("a" if knew or not evict else None)


def test_two_last_children_end_at_once_in_two_workers(stores: Stores) -> None:
    first, second = stores
    for _ in range(ROUNDS):
        (parent,) = held(first, "a")
        one, two = held(first, "a", 2)
        step(first, parent, State.WAITING, awaits=[one.row.pid, two.row.pid], release=True)
        outcomes = at_once(partial(finish, first, one), partial(finish, second, two))
        woken = [w.pid for outcome in outcomes for w in outcome.woken]
        assert woken == [parent.row.pid]
        row = first.get(parent.row.pid)
        assert row is not None
        assert (row.awaiting, row.ready) == (0, True)


def test_a_parent_is_released_while_its_last_child_ends(stores: Stores) -> None:
    first, second = stores
    for _ in range(ROUNDS):
        (parent,) = held(first, "a")
        (child,) = held(second, "b")
        step(first, parent, State.WAITING, awaits=[child.row.pid])
        released, ended = at_once(partial(release, first, parent), partial(finish, second, child))
        (woken,) = ended.woken
        row = first.get(parent.row.pid)
        assert row is not None
        assert row.ready
        assert (row.owner == "a") == released.kept == (woken.owner == "a")


def test_kill_while_being_woken(stores: Stores) -> None:
    first, second = stores
    for _ in range(ROUNDS):
        (parent,) = held(first, "a")
        (child,) = held(second, "b")
        step(first, parent, State.WAITING, awaits=[child.row.pid], release=True)
        killed, _ = at_once(
            partial(control, first, Control.KILL, Selection(pids=[parent.row.pid])),
            partial(finish, second, child),
        )
        assert killed[0].applied
        row = first.get(parent.row.pid)
        assert row is not None
        assert (row.state, row.ready, row.awaiting) == (State.KILLED, False, 0)


def test_a_child_is_born_while_its_tree_is_killed(stores: Stores) -> None:
    """Whoever comes first, in the end nobody of the family lives on."""
    first, second = stores
    for _ in range(ROUNDS):
        (top,) = born(first)
        (middle,) = held(second, "b", parent=top)
        child = new(second)[0]
        killed, born_into = at_once(
            partial(control, first, Control.KILL, Selection(pids=[top])),
            partial(step, second, middle, State.RUNNING, children=[child], step="two"),
        )
        intents = {o.pid: o.owner for o in killed}
        assert intents[middle.row.pid] == "b"
        assert born_into.fenced is False
        assert step(second, middle, State.KILLED).fenced is False
        assert [row.state for row in first.tree(top)] == [State.KILLED] * 3


def test_a_child_is_born_while_its_tree_is_paused(stores: Stores) -> None:
    first, second = stores
    for _ in range(ROUNDS):
        (top,) = held(second, "b")
        child = new(second)[0]
        at_once(
            partial(control, first, Control.PAUSE, Selection(trees=[top.row.pid])),
            partial(step, second, top, State.RUNNING, children=[child]),
        )
        row = first.get(child.pid)
        assert row is not None
        assert row.paused


def test_two_programs_take_one_key_at_once(stores: Stores) -> None:
    first, second = stores
    for number in range(ROUNDS):
        mine, yours = new(first, key=f"k{number}"), new(second, key=f"k{number}")
        (one,), (two,) = at_once(partial(insert, first, mine), partial(insert, second, yours))
        assert one == two
        assert one in (mine[0].pid, yours[0].pid)
    assert len(first.select(Selection())) == ROUNDS


def test_the_loser_of_a_claim_writes_nothing_whatever_it_tries(stores: Stores) -> None:
    first, second = stores
    (lost,) = held(first, "a")
    pid = lost.row.pid
    (woken,) = second.release_worker("a").result()
    assert woken.pid == pid
    (won,) = second.claim([pid], "b").result()
    (awaited,) = born(first)
    for state in (State.RUNNING, State.WAITING, State.FINISHED, State.EXCEPTED, State.KILLED):
        child = new(first)[0]
        late = Step(
            pid, "a", 1, state, checkpoint=b"x", outputs=b"x", error=b"x", children=[child],
            awaits=[awaited] if state is State.WAITING else (), events=[NewEvent("report", {})],
        )  # fmt: skip
        assert first.commit(late).result().fenced
        assert first.get(child.pid) is None
    assert first.get(pid) == won.row
    assert [e.kind for e in first.events(pid)] == ["state", "death", "claim"]
    assert first.results([pid])[0].outputs is None


def test_a_family_under_stress(stores: Stores) -> None:
    """Parents with children of parents, ended from both sides in random order: each is woken once."""
    first, second = stores
    width = 5
    parents = held(first, "a", 30)
    children = {p.row.pid: held(first, "a", width) for p in parents}
    work: list[Callable[[], StepOutcome]] = []
    for number, parent in enumerate(parents):
        mine = children[parent.row.pid]
        work.append(
            partial(
                step,
                stores[number % 2],
                parent,
                State.WAITING,
                awaits=[c.row.pid for c in mine],
                release=True,
            )
        )
        work += [partial(finish, stores[n % 2], c) for n, c in enumerate(mine)]
    random.Random(7).shuffle(work)
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(call) for call in work]
        wait(futures)
    woken = [one.pid for future in futures for one in future.result().woken]
    assert len(woken) == len(set(woken))
    for parent in parents:
        row = second.get(parent.row.pid)
        assert row is not None
        assert (row.awaiting, row.ready) == (0, True)
        assert (row.owner is None) == (row.pid in woken)


@pytest.mark.parametrize("crowd", [60])
def test_calls_of_many_threads_share_commits_and_all_arrive(stores: Stores, crowd: int) -> None:
    first, second = stores
    pids = born(first, crowd)

    def live(store: Store, pid: int) -> int:
        (claim,) = store.claim([pid], "w").result()
        for number in range(3):
            step(store, claim, State.RUNNING, checkpoint=b"%d" % number)
        return finish(store, claim).awaiting

    with ThreadPoolExecutor(crowd) as pool:
        ends = list(pool.map(live, [first, second] * (crowd // 2), pids))
    assert ends == [0] * crowd
    assert first.counts()[State.FINISHED] == crowd
