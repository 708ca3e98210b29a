"""Limits on every kind of store: who is given them, when, and that nobody holds one wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quince_persistence.records import Claim, Control, NewProcess, ProcessOptions, Selection, State
from quince_persistence.records.limits import NewLimit
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]


def limited(store: Store, count: int = 1, *names: str, **fields: object) -> Sequence[int]:
    """The pids of processes that ask for `licence`, or these."""
    return born(store, count, options=ProcessOptions(limits=names or ("licence",)), **fields)


def ready(store: Store, pids: Sequence[int]) -> list[int]:
    return [one.pid for one in store.ready(pids)]


def claimed(store: Store, *pids: int) -> list[Claim]:
    claims = list(store.claim(pids, "w").result())
    assert [claim.row.pid for claim in claims] == list(pids)
    return claims


def holders(store: Store, name: str = "licence") -> list[int]:
    return [row.pid for row in store.limit_users(name, held=True)]


def waiting(store: Store, name: str = "licence") -> list[int]:
    return [row.pid for row in store.limit_users(name, held=False)]


def control(store: Store, verb: Control, *pids: int) -> list[int]:
    """What became ready by it."""
    outcomes = store.control(verb, Selection(pids=pids), author="ada").result()
    return [one.pid for outcome in outcomes for one in outcome.woken]


def registered(store: Store, name: str, *queues: str) -> None:
    worker = WorkerRow(name, "here", 1, name, queues, 1, None, "running", 0.0, 0.0)
    store.register_worker(worker).result()


def swept(store: Store) -> list[int]:
    return [one.pid for one in store.sweep(expiry=1e9, stale=1e9).result().due]


def test_so_many_at_once_and_the_next_with_the_commit_of_an_end(store: Store) -> None:
    store.set_limit("licence", slots=2).result()
    pids = limited(store, 5)
    assert ready(store, pids) == holders(store) == list(pids[:2])
    assert waiting(store) == list(pids[2:])
    assert not store.claim(pids[2:], "w").result()
    first, second = claimed(store, *pids[:2])
    assert [one.pid for one in finish(store, first).woken] == [pids[2]]
    assert step(store, second, State.WAITING, due=9e9, release=True).woken == []
    assert holders(store) == [pids[1], pids[2]]
    assert {wait.pid: (wait.name, wait.ahead) for wait in store.limit_waits(pids).values()} == {
        pids[3]: ("licence", 0),
        pids[4]: ("licence", 1),
    }


def test_one_that_was_never_set_is_none_and_holds_from_when_it_is(store: Store) -> None:
    pids = limited(store, 3)
    assert ready(store, pids) == holders(store) == list(pids)
    (row,) = store.limits()
    assert (row.name, row.slots, row.held, row.waiting) == ("licence", None, 3, 0)
    store.set_limit("licence", slots=2).result()
    (late,) = limited(store)
    claims = claimed(store, *pids)
    assert finish(store, claims[0]).woken == []
    assert [one.pid for one in finish(store, claims[1]).woken] == [late]


def test_raising_and_removing_it_wakes_those_that_wait(store: Store) -> None:
    store.set_limit("licence", slots=0).result()
    pids = limited(store, 6)
    assert ready(store, pids) == []
    assert [one.pid for one in store.set_limit("licence", slots=2).result()] == list(pids[:2])
    woken = store.remove_limit("licence").result()
    assert woken is not None
    assert [one.pid for one in woken] == list(pids[2:])
    assert swept(store) == []
    for claim in claimed(store, *pids):
        finish(store, claim)
    assert swept(store) == []
    assert store.limits() == []
    assert store.remove_limit("licence").result() is None


def test_the_first_by_priority_and_pid(store: Store) -> None:
    store.set_limit("licence", slots=1).result()
    (first,) = limited(store)
    low = limited(store, 2, priority=1)
    high = limited(store, 2, priority=9)
    assert waiting(store) == [*high, *low]
    (claim,) = claimed(store, first)
    assert [one.pid for one in finish(store, claim).woken] == [high[0]]


def test_several_are_given_together_and_who_waits_for_one_stands_in_nobodys_way(store: Store) -> None:
    store.set_limit("a", slots=1).result()
    store.set_limit("b", slots=1).result()
    (first,) = limited(store, 1, "b")
    (both,) = limited(store, 1, "a", "b")
    (other,) = limited(store, 1, "a")
    assert ready(store, [first, both, other]) == [first, other]
    assert (waiting(store, "a"), waiting(store, "b")) == ([], [both])
    (claim,) = claimed(store, first)
    assert finish(store, claim).woken == []  # `a` is full: it waits there now
    assert (waiting(store, "a"), waiting(store, "b"), holders(store, "b")) == ([both], [], [])
    (claim,) = claimed(store, other)
    assert [one.pid for one in finish(store, claim).woken] == [both]
    assert holders(store, "a") == holders(store, "b") == [both]


@pytest.mark.parametrize("verb", [Control.PAUSE, Control.KILL])
def test_who_is_paused_or_killed_gives_it_back(store: Store, verb: Control) -> None:
    store.set_limit("licence", slots=1).result()
    first, second, third = limited(store, 3)
    assert control(store, verb, first) == [second]
    assert control(store, verb, second) == [third]
    (claim,) = claimed(store, third)
    assert control(store, verb, third) == []  # its owner applies it
    if verb is Control.PAUSE:
        assert store.release(third, "w", claim.row.epoch).result().paused
        assert holders(store) == []
        assert control(store, Control.PLAY, second, first) == [first]  # each asks anew, the first by pid
        assert control(store, Control.PLAY, third) == []
        assert waiting(store) == [second, third]
    else:
        store.release(third, "w", claim.row.epoch).result()
        assert store.limit_users("licence", held=True) == []


def test_one_that_waits_for_it_is_paused_played_and_killed(store: Store) -> None:
    store.set_limit("licence", slots=1).result()
    first, second, third = limited(store, 3)
    assert control(store, Control.PAUSE, second) == []
    assert waiting(store) == [third]
    (claim,) = claimed(store, first)
    assert control(store, Control.PLAY, second) == []
    assert waiting(store) == [second, third]
    assert control(store, Control.KILL, second) == []
    assert waiting(store) == [third]
    assert [one.pid for one in finish(store, claim).woken] == [third]


def test_what_waits_to_be_tried_again_gives_it_back(store: Store) -> None:
    store.set_limit("licence", slots=1).result()
    first, second = limited(store, 2)
    (claim,) = claimed(store, first)
    outcome = step(store, claim, State.WAITING, attempt=1, due=1.0)
    assert [one.pid for one in outcome.woken] == [second]
    assert store.wake(first, "w", claim.row.epoch).result() == []
    row = store.get(first)
    assert row is not None
    assert (row.awaiting, row.granted, row.ready) == (0, False, False)
    released = store.release(first, "w", claim.row.epoch).result()
    assert (released.kept, released.ready) == (False, False)
    (other,) = claimed(store, second)
    assert [one.pid for one in finish(store, other).woken] == [first]


def test_children_of_one_step_have_a_limit_of_their_own(store: Store) -> None:
    (parent,) = claimed(store, *born(store))
    options = ProcessOptions(limits=("map:1",))
    children = [
        NewProcess(pid, "m:C", b"", parent=parent.row.pid, options=options) for pid in store.allocate_pids(5)
    ]
    pids = [child.pid for child in children]
    outcome = step(
        store,
        parent,
        State.WAITING,
        children=children,
        awaits=pids,
        limits=[NewLimit("map:1", 2)],
        release=True,
    )
    assert [one.pid for one in outcome.woken] == pids[:2]
    woken = outcome.woken
    while woken:
        (claim,) = claimed(store, woken[0].pid)
        assert len(holders(store, "map:1")) <= 2
        woken = [*woken[1:], *finish(store, claim).woken]
    assert claim.row.pid == parent.row.pid
    swept(store)
    assert store.limits() == []


def test_a_rate_lets_them_begin_evenly(store: Store) -> None:
    store.set_limit("mail", rate=30, per=3600.0).result()
    pids = limited(store, 3, "mail")
    assert ready(store, pids) == [pids[0]]
    (row,) = store.limits()
    assert row.next_at is not None
    assert 0 < row.next_at - store.clock() <= 120
    assert store.sweep(expiry=1e9, stale=1e9).result().rated
    assert swept(store) == []
    store.set_limit("mail", rate=36_000, per=3600.0).result()
    assert ready(store, pids) == list(pids)


def test_a_queue_that_nobody_consumes_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_persistence.writing.operations.limits.STRANDED_SECONDS", -1.0)
    store.set_limit("licence", slots=1).result()
    stranded = limited(store, 2, queue="nowhere")
    assert ready(store, stranded) == [stranded[0]]
    registered(store, "w", "default")
    assert swept(store) == []
    (other,) = limited(store)
    assert swept(store) == [other]
    assert waiting(store) == list(stranded)
    assert not store.claim(stranded, "w").result()
    (claim,) = claimed(store, other)
    (late,) = limited(store)
    assert [one.pid for one in finish(store, claim).woken] == [late]
    (claim,) = claimed(store, late)
    assert [one.pid for one in finish(store, claim).woken] == [stranded[0]]


def test_a_copy_goes_on_with_what_was_held(store: Store, tmp_path: Path) -> None:
    store.set_limit("licence", slots=1).result()
    first, second = limited(store, 2)
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    store.copy_to(url, alive=10.0, author="ada").result()
    assert (holders(store), waiting(store)) == ([], [])  # all is paused here
    with Store(url) as copy:
        assert (holders(copy), waiting(copy)) == ([first], [second])
        (claim,) = claimed(copy, first)
        assert [one.pid for one in finish(copy, claim).woken] == [second]


def placed(store: Store, pid: int, **where: Any) -> list[tuple[int, str, int]]:
    """Who is to be sent anew, where, and how urgent."""
    (outcome,) = store.place(Selection(pids=[pid]), author="ada", **where).result()
    assert outcome.applied
    return [(one.pid, one.queue, one.priority) for one in outcome.woken]


def test_what_is_set_of_one_that_waits_holds_for_its_place_in_the_line(store: Store) -> None:
    """It is given nothing by that; nor does it pass the one that has what it waits for."""
    store.set_limit("licence", slots=1).result()
    first, second, third = limited(store, 3)
    assert placed(store, third, priority=7) == []
    assert (ready(store, [first, second, third]), waiting(store)) == ([first], [third, second])
    assert {wait.pid: wait.ahead for wait in store.limit_waits([second, third]).values()} == {
        third: 0,
        second: 1,
    }
    assert placed(store, second, queue="gpu", priority=9) == []
    assert waiting(store) == [second, third]
    assert placed(store, first, priority=0, queue="gpu") == [(first, "gpu", 0)]
    (claim,) = store.claim([first], "w", queues=("gpu",)).result()
    (given,) = finish(store, claim).woken
    assert (given.pid, given.queue, given.priority) == (second, "gpu", 9)
    assert not store.claim([second], "w", queues=("default",)).result()
    assert (holders(store), waiting(store)) == ([second], [third])


def test_what_is_set_of_one_that_is_paused_holds_when_it_is_played(store: Store) -> None:
    store.set_limit("licence", slots=1).result()
    first, second, third = limited(store, 3)
    assert control(store, Control.PAUSE, third) == []
    assert placed(store, third, priority=9, queue="gpu") == []
    assert waiting(store) == [second]  # who is paused stands in no line
    assert control(store, Control.PLAY, third) == []
    assert waiting(store) == [third, second]
    assert control(store, Control.PAUSE, first) == [third]
    assert placed(store, first, priority=3) == []
    assert control(store, Control.PLAY, first) == []
    assert (holders(store), waiting(store)) == ([third], [first, second])


def test_who_is_moved_where_nobody_takes_him_up_keeps_nobody_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_persistence.writing.operations.limits.STRANDED_SECONDS", -1.0)
    store.set_limit("licence", slots=1).result()
    registered(store, "w", "default")
    first, second, third = limited(store, 3)
    assert placed(store, second, queue="nowhere", priority=9) == []
    assert placed(store, first, queue="nowhere") == [(first, "nowhere", 0)]
    assert swept(store) == [third]  # both others are where nobody is
    assert (holders(store), waiting(store)) == ([third], [second, first])
    assert placed(store, first, queue="default") == []
    (claim,) = claimed(store, third)
    woken = [one.pid for one in finish(store, claim).woken] + swept(store)
    assert first in woken
    assert (holders(store), waiting(store)) == ([first], [second])
