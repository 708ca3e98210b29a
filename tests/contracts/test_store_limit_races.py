"""Races for limits between two programs on one database, each by its name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from quince_persistence.records import Claim, Control, ProcessOptions, Selection, State, Woken
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, step, store_url, stores
from tests.contracts.test_store_races import Stores, at_once, control

__all__ = ["store_url", "stores"]

ROUNDS = 15
NAME = "licence"


def limited(store: Store, count: int = 1, *names: str, **fields: object) -> list[int]:
    options = ProcessOptions(limits=names or (NAME,))
    return list(born(store, count, options=options, **fields))


def claim(store: Store, pid: int) -> Claim:
    (claimed,) = store.claim([pid], "a").result()
    return claimed


def swept(store: Store) -> Sequence[Woken]:
    """What was locked just then was passed over: a sweep makes up for it."""
    return store.sweep(expiry=1e9, stale=1e9).result().due


def held_by(store: Store, name: str = NAME) -> set[int]:
    return {row.pid for row in store.limit_users(name, held=True)}


def test_two_holders_end_at_once_and_two_are_given_it(stores: Stores) -> None:
    one, other = stores
    one.set_limit(NAME, slots=2).result()
    for _ in range(ROUNDS):
        first, second, third, fourth = limited(one, 4)
        ends = claim(one, first), claim(other, second)
        at_once(partial(finish, one, ends[0]), partial(finish, other, ends[1]))
        swept(one)
        assert held_by(one) == {third, fourth}
        for pid in (third, fourth):
            finish(one, claim(one, pid))


def test_an_end_against_a_set(stores: Stores) -> None:
    one, other = stores
    for _ in range(ROUNDS):
        one.set_limit(NAME, slots=1).result()
        first, second, third = limited(one, 3)
        held = claim(one, first)
        at_once(partial(finish, one, held), lambda: other.set_limit(NAME, slots=2).result())
        swept(one)
        assert held_by(one) == {second, third}
        for pid in (second, third):
            finish(one, claim(one, pid))


def test_an_end_against_the_removal(stores: Stores) -> None:
    one, other = stores
    for _ in range(ROUNDS):
        one.set_limit(NAME, slots=1).result()
        first, second, third = limited(one, 3)
        held = claim(one, first)
        at_once(partial(finish, one, held), lambda: other.remove_limit(NAME).result())
        swept(one)
        assert held_by(one) == {second, third}
        for pid in (second, third):
            finish(one, claim(one, pid))
        swept(one)
        assert one.limits() == []


def test_a_pause_against_a_grant(stores: Stores) -> None:
    one, other = stores
    one.set_limit(NAME, slots=1).result()
    for _ in range(ROUNDS):
        first, second, third = limited(one, 3)
        held = claim(one, first)
        at_once(partial(finish, one, held), partial(control, other, Control.PAUSE, Selection(pids=[second])))
        swept(one)
        assert held_by(one) == {third}
        row = one.get(second)
        assert row is not None
        assert (row.paused, row.granted, row.ready) == (True, False, False)
        finish(one, claim(one, third))
        control(one, Control.PLAY, Selection(pids=[second]))
        finish(one, claim(one, second))
        assert held_by(one) == set()


def test_a_kill_against_a_grant(stores: Stores) -> None:
    one, other = stores
    one.set_limit(NAME, slots=1).result()
    for _ in range(ROUNDS):
        first, second, third = limited(one, 3)
        held = claim(one, first)
        at_once(partial(finish, one, held), partial(control, other, Control.KILL, Selection(pids=[second])))
        swept(one)
        assert held_by(one) == {third}
        finish(one, claim(one, third))


def test_a_birth_against_an_end(stores: Stores) -> None:
    one, other = stores
    one.set_limit(NAME, slots=1).result()
    for _ in range(ROUNDS):
        held = claim(one, *limited(one))
        _, (late,) = at_once(partial(finish, one, held), lambda: limited(other))
        swept(one)
        assert held_by(one) == {late}
        finish(one, claim(one, late))


def test_many_of_several_limits_in_two_programs(stores: Stores) -> None:
    """Nobody waits for ever, nobody dead-locks, and never are there more than so many."""
    one, _ = stores
    sizes = {"a": 2, "b": 3, "c": 1}
    for name, slots in sizes.items():
        one.set_limit(name, slots=slots).result()
    dice = random.Random(7)
    pids = [
        pid
        for _ in range(60)
        for pid in limited(
            one, 1, *sorted(dice.sample(sorted(sizes), dice.randint(1, 3))), priority=dice.randint(0, 9)
        )
    ]

    def work(store: Store, seed: int) -> int:
        dice, ended = random.Random(seed), 0
        for _ in range(400):
            claims = store.claim(dice.sample(pids, 10), f"w{seed}").result()
            for claimed in claims:
                if dice.random() < 0.2:
                    store.control(Control.PAUSE, Selection(pids=[claimed.row.pid]), author="x").result()
                    step(store, claimed, State.RUNNING, release=True)
                    store.control(Control.PLAY, Selection(pids=[claimed.row.pid]), author="x").result()
                else:
                    ended += not finish(store, claimed).fenced
            for name, slots in sizes.items():
                assert len(held_by(store, name)) <= slots
            if not claims:
                swept(store)
                if not store.select(Selection(pids=pids, live=True)):
                    break
        return ended

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, stores, (1, 2))) == len(pids)
    assert not any(held_by(one, name) for name in sizes)
