"""What has ended, and not well, goes on from the step in which it ended: on every store."""

from __future__ import annotations

import time
from functools import partial

import pytest

from quince_persistence.codec import encode
from quince_persistence.records import Claim, Control, NewSignal, ProcessRow, Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url, stores
from tests.contracts.test_store_races import at_once

__all__ = ["store", "store_url", "stores"]

ROUNDS = 10

ERROR = encode({"type": "ValueError", "text": "no", "traceback": "Traceback: no"}, "error")


def retry(store: Store, *pids: int, **more: object) -> list[ControlOutcome]:
    outcomes = store.retry(Selection(pids=pids), author="ann", reason="mended", **more)  # type: ignore[arg-type]
    return list(outcomes.result())


def row_of(store: Store, pid: int) -> ProcessRow:
    row = store.get(pid)
    assert row is not None
    return row


def claim(store: Store, pid: int, owner: str = "w") -> Claim:
    (found,) = store.claim([pid], owner).result()
    return found


def fails(store: Store, claim: Claim, state: State = State.EXCEPTED) -> None:
    """It ends in its step, in one of the three ways that are not well."""
    how: dict[State, dict[str, object]] = {
        State.EXCEPTED: {"error": ERROR, "exit_message": "ValueError: no"},
        State.FINISHED: {"exit_status": 410, "exit_message": "no"},
        State.KILLED: {"reason": "enough"},
    }
    step(store, claim, state, step="collect", outputs=b"half", **how[state])


def family(store: Store, count: int = 2, **wait: object) -> tuple[Claim, list[Claim]]:
    """A parent that waits for children, which are held."""
    (parent,) = held(store, "w", class_path="tests.things:Parent")
    children = new(store, count, parent=parent.row.pid)
    step(
        store, parent, State.WAITING, step="collect", checkpoint=b"before collect", children=children,
        awaits=[child.pid for child in children], release=True, **wait,
    )  # fmt: skip
    return parent, [claim(store, child.pid) for child in children]


@pytest.mark.parametrize("state", [State.EXCEPTED, State.FINISHED, State.KILLED])
def test_it_goes_on_from_its_last_checkpoint_and_the_error_stays_in_the_history(
    store: Store, state: State
) -> None:
    (first,) = held(store, "w")
    pid = first.row.pid
    step(store, first, State.RUNNING, step="collect", checkpoint=b"before collect")
    store.record_once(pid, "w", first.row.epoch, "key", b"once").result()
    store.send([NewSignal(pid, "go", b"1")], author="ann").result()
    fails(store, first, state)
    ended = row_of(store, pid)
    (outcome,) = retry(store, pid)
    assert (outcome.applied, outcome.refused, [one.pid for one in outcome.woken]) == (True, None, [pid])
    row = row_of(store, pid)
    assert outcome.before == ended
    assert outcome.after == row
    assert (row.state, row.ready, row.step) == (State.RUNNING, True, "collect")
    assert (row.ended, row.exit_status, row.exit_message, row.status) == (None, None, None, None)
    (result,) = store.results([pid])
    assert (result.outputs, result.error) == (None, None)
    (event,) = [event for event in store.events(pid) if event.kind == "retry"]
    assert (event.author, event.body["state"], event.body["reason"]) == ("ann", state, "mended")
    assert event.body.get("traceback") == ("Traceback: no" if state is State.EXCEPTED else None)
    again = claim(store, pid, "other")
    assert (again.checkpoint, again.inputs, again.row.epoch) == (b"before collect", b"inputs", 2)
    recorded = store.recorded(pid, "key")
    assert recorded is not None
    assert recorded.result == b"once"
    assert [signal.name for signal in store.signals(pid)] == ["go"]
    finish(store, again)
    assert store.checkpoint(pid) is None


def test_what_ends_in_its_first_step_or_never_began_begins_anew(store: Store) -> None:
    (first,) = held(store, "w")
    fails(store, first)
    retry(store, first.row.pid)
    assert claim(store, first.row.pid).checkpoint is None
    (never,) = born(store)
    store.control(Control.KILL, Selection(pids=[never]), author="ann").result()
    retry(store, never)
    assert (row_of(store, never).state, row_of(store, never).ready) == (State.CREATED, True)


def test_new_inputs_are_those_of_the_one_that_is_named(store: Store) -> None:
    parent, (child, _) = family(store)
    fails(store, child)
    store.control(Control.KILL, Selection(pids=[parent.row.pid]), author="ann").result()
    retry(store, parent.row.pid, inputs=b"corrected")
    assert store.inputs(parent.row.pid) == b"corrected"
    assert store.inputs(child.row.pid) == b"inputs"
    (event,) = [event for event in store.events(parent.row.pid) if event.kind == "retry"]
    assert event.body["inputs"] is True


def test_what_lives_or_has_ended_well_is_refused(store: Store) -> None:
    (live, done) = held(store, "w", 2)
    finish(store, done)
    (paused,) = born(store, paused=True)
    refused = {one.pid: one.refused for one in retry(store, live.row.pid, done.row.pid, paused, 10**9)}
    assert "has not ended (running)" in str(refused[live.row.pid])
    assert f"quince restart {done.row.pid}" in str(refused[done.row.pid])
    assert f"quince play {paused}" in str(refused[paused])
    assert "there is no process" in str(refused[10**9])
    assert not [event for event in store.events(done.row.pid) if event.kind == "retry"]


def test_a_parent_takes_those_along_that_failed_and_waits_for_them(store: Store) -> None:
    parent, (good, bad, slow) = family(store, 3)
    finish(store, good)
    fails(store, bad)
    fails(store, slow, State.FINISHED)
    late = claim(store, parent.row.pid)
    fails(store, late)
    outcomes = retry(store, parent.row.pid)
    assert [one.pid for one in outcomes] == sorted([parent.row.pid, bad.row.pid, slow.row.pid])
    row = row_of(store, parent.row.pid)
    assert (row.state, row.awaiting, row.ready) == (State.WAITING, 2, False)
    assert row_of(store, good.row.pid).state is State.FINISHED
    finish(store, claim(store, bad.row.pid))
    outcome = finish(store, claim(store, slow.row.pid))
    assert [one.pid for one in outcome.woken] == [parent.row.pid]
    assert claim(store, parent.row.pid).checkpoint == b"before collect"


def test_trees_are_retried_downwards_whatever_killed_them(store: Store) -> None:
    parent, (child, other) = family(store)
    grandchildren = new(store, 1, parent=child.row.pid)
    step(
        store, child, State.WAITING, checkpoint=b"c", children=grandchildren,
        awaits=[grandchildren[0].pid], release=True,
    )  # fmt: skip
    finish(store, other)
    store.control(Control.KILL, Selection(pids=[parent.row.pid]), author="ann").result()
    retry(store, parent.row.pid)
    states = {pid: row_of(store, pid) for pid in (parent.row.pid, child.row.pid, grandchildren[0].pid)}
    assert [row.state for row in states.values()] == [State.WAITING, State.WAITING, State.CREATED]
    woken = finish(store, claim(store, grandchildren[0].pid)).woken
    assert [one.pid for one in woken] == [child.row.pid]
    woken = finish(store, claim(store, child.row.pid)).woken
    assert [one.pid for one in woken] == [parent.row.pid]


def test_a_parent_that_still_waits_waits_again(store: Store) -> None:
    parent, (bad, other) = family(store)
    fails(store, bad)
    assert row_of(store, parent.row.pid).awaiting == 1
    retry(store, bad.row.pid)
    assert row_of(store, parent.row.pid).awaiting == 2
    finish(store, other)
    assert not row_of(store, parent.row.pid).ready
    fails(store, claim(store, bad.row.pid))
    assert row_of(store, parent.row.pid).ready
    retry(store, bad.row.pid)
    assert not row_of(store, parent.row.pid).ready, "nobody had taken it up"
    assert [row.pid for row in store.awaited(parent.row.pid)] == [bad.row.pid]
    assert [one.pid for one in finish(store, claim(store, bad.row.pid)).woken] == [parent.row.pid]


def test_a_parent_in_its_step_goes_on_but_would_wait_before_it_began_anew(store: Store) -> None:
    parent, (bad, other) = family(store)
    fails(store, bad)
    finish(store, other)
    late = claim(store, parent.row.pid, "dies")
    retry(store, bad.row.pid)
    assert (row_of(store, parent.row.pid).state, row_of(store, parent.row.pid).owner) == ("running", "dies")
    store.release_worker("dies").result()
    row = row_of(store, parent.row.pid)
    assert (row.state, row.awaiting, row.ready) == (State.WAITING, 1, False)
    finish(store, claim(store, bad.row.pid))
    late = claim(store, parent.row.pid, "lives")
    assert step(store, late, State.RUNNING, step="next", checkpoint=b"n").awaiting == 0
    finish(store, late)


def test_a_parent_that_has_ended_is_left_alone(store: Store) -> None:
    parent, (bad, other) = family(store)
    fails(store, bad)
    finish(store, other)
    fails(store, claim(store, parent.row.pid))
    assert [one.pid for one in retry(store, bad.row.pid)] == [bad.row.pid]
    assert row_of(store, parent.row.pid).state is State.EXCEPTED
    retry(store, parent.row.pid)
    assert row_of(store, parent.row.pid).awaiting == 1, "the other one lives already"


def test_it_waits_again_for_the_signals_and_the_time_that_have_not_come(store: Store) -> None:
    due = time.time() + 1000
    (first, second) = held(store, "w", 2)
    step(store, first, State.WAITING, checkpoint=b"f", signals=["a", "b"], release=True)
    step(store, second, State.WAITING, checkpoint=b"s", due=due, release=True)
    store.send([NewSignal(first.row.pid, "a", b"1")], author="ann").result()
    pids = [first.row.pid, second.row.pid]
    store.control(Control.KILL, Selection(pids=pids), author="ann").result()
    retry(store, *pids)
    rows = [row_of(store, pid) for pid in pids]
    assert [(row.state, row.awaiting, row.signals) for row in rows] == [
        ("waiting", 1, ("b",)),
        ("waiting", 1, ()),
    ]
    assert [row.due for row in rows] == [None, due]
    (sent,) = store.send([NewSignal(first.row.pid, "b", b"2")], author="ann").result()
    assert [one.pid for one in sent.woken] == [first.row.pid]
    store.control(Control.KILL, Selection(pids=pids), author="ann").result()
    retry(store, *pids)
    assert row_of(store, first.row.pid).ready, "both have come"


def test_under_a_paused_tree_it_is_paused(store: Store) -> None:
    parent, (bad, _) = family(store)
    fails(store, bad)
    store.control(Control.PAUSE, Selection(trees=[parent.row.pid]), author="ann").result()
    retry(store, bad.row.pid)
    row = row_of(store, bad.row.pid)
    assert (row.paused, row.ready) == (True, False)


def test_selections_take_what_failed_of_them(store: Store) -> None:
    good, bad, live = held(store, "w", 3, class_path="tests.things:Other")
    finish(store, good)
    fails(store, bad)
    outcomes = store.retry(Selection(classes=["Other"]), author="ann").result()
    assert [one.pid for one in outcomes] == [bad.row.pid]
    assert row_of(store, live.row.pid).owner == "w"


def test_one_of_a_run_that_is_over_belongs_to_every_worker(store: Store) -> None:
    (first,) = held(store, "w", queue="run:gone")
    fails(store, first)
    (outcome,) = retry(store, first.row.pid)
    assert [one.queue for one in outcome.woken] == ["default"]
    assert row_of(store, first.row.pid).queue == "default"


def test_a_killed_tree_gets_those_back_that_nobody_awaits(store: Store) -> None:
    (parent,) = held(store, "w")
    earlier, beside = new(store, 2, parent=parent.row.pid)
    step(store, parent, State.RUNNING, step="on", checkpoint=b"on", children=[earlier, beside], release=True)
    store.control(Control.KILL, Selection(pids=[earlier.pid]), author="ann").result()
    store.control(Control.KILL, Selection(pids=[parent.row.pid]), author="ann").result()
    assert [one.pid for one in retry(store, parent.row.pid)] == [parent.row.pid, beside.pid]
    assert row_of(store, earlier.pid).state is State.KILLED, "that was meant for it alone"
    assert row_of(store, parent.row.pid).awaiting == 0


def test_it_waits_again_as_it_waited(store: Store) -> None:
    parent, children = family(store, 2, wait_any=True)
    store.control(Control.KILL, Selection(pids=[parent.row.pid]), author="ann", force=True).result()
    retry(store, parent.row.pid)
    assert (row_of(store, parent.row.pid).wait_any, row_of(store, parent.row.pid).awaiting) == (True, 2)
    assert [one.pid for one in finish(store, claim(store, children[0].row.pid)).woken] == [parent.row.pid]
    over, _ = family(store, 2, wait_due=True, due=time.time() - 1)
    timed, _ = family(store, 2, wait_due=True, due=time.time() + 1000)
    for top in (over, timed):
        store.control(Control.KILL, Selection(pids=[top.row.pid]), author="ann", force=True).result()
        retry(store, top.row.pid)
    assert (row_of(store, over.row.pid).ready, row_of(store, over.row.pid).awaiting) == (True, 0)
    row = row_of(store, timed.row.pid)
    assert (row.wait_due, row.awaiting, row.due is None) == (True, 2, False)


def test_a_parent_that_waits_for_any_or_for_some_time_is_left_to_that(store: Store) -> None:
    for wait in ({"wait_any": True}, {"wait_due": True, "due": time.time() + 1000}):
        parent, (bad, other) = family(store, 2, **wait)
        fails(store, bad)
        waits = "wait_due" in wait
        assert row_of(store, parent.row.pid).ready is not waits
        retry(store, bad.row.pid)
        assert (row_of(store, parent.row.pid).ready, row_of(store, parent.row.pid).awaiting) == (
            (False, 2) if waits else (True, 0)
        )
        finish(store, other)


def test_what_was_put_aside_with_an_error_goes_on_with_other_inputs(store: Store) -> None:
    (first,) = held(store, "w")
    pid = first.row.pid
    step(store, first, State.RUNNING, step="on", checkpoint=b"on")
    step(store, first, State.RUNNING, step="on", error=ERROR, paused=True, reason="it failed")
    assert row_of(store, pid).paused
    (outcome,) = retry(store, pid, inputs=b"corrected")
    assert ([one.pid for one in outcome.woken], outcome.refused) == ([pid], None)
    row = row_of(store, pid)
    assert (row.paused, row.status, row.ready) == (False, None, True)
    again = claim(store, pid)
    assert (again.inputs, again.checkpoint) == (b"corrected", b"on")
    (event,) = [event for event in store.events(pid) if event.kind == "retry"]
    assert (event.body["state"], event.body["traceback"]) == ("paused", "Traceback: no")


# Two programs at once


def test_two_retries_at_once_begin_it_once(stores: tuple[Store, Store]) -> None:
    one, other = stores
    for _ in range(ROUNDS):
        parent, children = family(one, 2)
        for child in children:
            fails(one, child)
        fails(one, claim(one, parent.row.pid))
        pids = [parent.row.pid, *(child.row.pid for child in children)]
        first, second = at_once(partial(retry, one, pids[0]), partial(retry, other, *pids[:2]))
        gone_on = [outcome.pid for outcome in [*first, *second] if outcome.refused is None]
        assert sorted(gone_on) == sorted(pids), "each of them once"
        assert row_of(one, pids[0]).awaiting == 2
        for pid in pids[1:]:
            finish(one, claim(one, pid))
        finish(one, claim(one, pids[0]))


def test_a_retry_against_a_kill(stores: tuple[Store, Store]) -> None:
    one, other = stores
    for _ in range(ROUNDS):
        parent, (bad, good) = family(one)
        fails(one, bad)
        finish(one, good)
        fails(one, claim(one, parent.row.pid))
        pids = [parent.row.pid, bad.row.pid]
        at_once(partial(retry, one, pids[0]), partial(kill, other, *pids))
        states = [row_of(one, pid).state for pid in pids]
        awaited = [row.pid for row in one.awaited(pids[0])]
        assert (states, awaited) in (
            ([State.KILLED] * 2, []),  # the kill came second
            ([State.WAITING, State.RUNNING], [pids[1]]),
        )
        kill(one, *pids)


def test_a_retry_of_a_child_while_its_parent_ends(stores: tuple[Store, Store]) -> None:
    """The parent ends as it is, or waits for the child once more; never is it neither."""
    one, other = stores
    for turn in range(ROUNDS):
        parent, (bad, good) = family(one)
        fails(one, bad)
        if turn % 2:  # its last child ends, or it has ended and the parent begins its step
            at_once(partial(finish, other, good), partial(retry, one, bad.row.pid))
        else:
            finish(one, good)
            at_once(
                lambda pid=parent.row.pid: other.claim([pid], "x").result(),  # type: ignore[misc]
                partial(retry, one, bad.row.pid),
            )
            other.release_worker("x").result()
        row = row_of(one, parent.row.pid)
        assert (row.state, row.awaiting, row.ready) == (State.WAITING, 1, False)
        woken = finish(one, claim(one, bad.row.pid)).woken
        assert [found.pid for found in woken] == [parent.row.pid]
        finish(one, claim(one, parent.row.pid))


def test_families_retried_and_killed_from_all_sides_dead_lock_nobody(stores: tuple[Store, Store]) -> None:
    one, other = stores
    parent, children = family(one, 6)
    kill(one, parent.row.pid)
    pids = [parent.row.pid, *(child.row.pid for child in children)]

    def retries() -> None:
        for turn in range(ROUNDS):
            retry(one, pids[0] if turn % 2 else pids[1 + turn % 6])

    def kills() -> None:
        for turn in range(ROUNDS):
            kill(other, pids[0] if turn % 3 else pids[1 + turn % 6])

    at_once(retries, kills)
    kill(one, pids[0])
    retry(one, pids[0])
    row = row_of(one, pids[0])
    assert row.awaiting == len(one.awaited(pids[0])) == 6


def kill(store: Store, *pids: int) -> None:
    store.control(Control.KILL, Selection(pids=pids), author="ann", force=True).result()
