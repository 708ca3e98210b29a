"""Pause, play and kill on every store: alone, by trees, by the ten thousand."""

from __future__ import annotations

import time

import pytest

from quince_persistence.records import Control, ProcessRow, Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url

__all__ = ["store", "store_url"]

PAUSE, PLAY, KILL = Control.PAUSE, Control.PLAY, Control.KILL


def control(store: Store, verb: Control, *pids: int, **more: bool) -> list[ControlOutcome]:
    return list(store.control(verb, Selection(pids=pids), author="ann", reason="because", **more).result())


def tree(store: Store, verb: Control, top: int) -> list[ControlOutcome]:
    return list(store.control(verb, Selection(trees=[top]), author="ann", reason="because").result())


def row_of(store: Store, pid: int) -> ProcessRow:
    row = store.get(pid)
    assert row is not None
    return row


# Unowned: done here


def test_pause_and_play_of_one_that_nobody_holds(store: Store) -> None:
    (pid,) = born(store)
    (paused,) = control(store, PAUSE, pid)
    assert (paused.found, paused.applied, paused.owner, paused.refused) == (True, True, None, None)
    assert paused.before is not None
    assert (paused.before.paused, paused.after) == (False, row_of(store, pid))
    row = row_of(store, pid)
    assert (row.paused, row.ready, row.status, row.state) == (True, False, "because", State.CREATED)
    assert store.claim([pid], "w").result() == []
    (played,) = control(store, PLAY, pid)
    assert [one.pid for one in played.woken] == [pid]
    row = row_of(store, pid)
    assert (row.paused, row.ready, row.status) == (False, True, None)
    assert [(e.kind, dict(e.body), e.author) for e in store.events(pid)] == [
        ("control", {"verb": "pause", "reason": "because"}, "ann"),
        ("control", {"verb": "play", "reason": "because"}, "ann"),
    ]


def test_a_pause_tells_the_owner_whether_it_is_to_be_applied_now(store: Store) -> None:
    (claim,) = held(store, "w")
    pid, epoch = claim.row.pid, claim.row.epoch
    for now in (True, False):
        (asked,) = control(store, PAUSE, pid, now=now)
        assert asked.after is not None
        assert (asked.applied, asked.after.intent, asked.after.intent_now) == (False, PAUSE, now)
        assert [(row.pid, row.intent_now) for row in store.asked("w")] == [(pid, now)]
    assert [event.body.get("now") for event in store.events(pid) if event.kind == "control"] == [True, None]
    control(store, PAUSE, pid, now=True)
    assert store.suspend(pid, "w", epoch).result().paused
    row = row_of(store, pid)
    assert (row.paused, row.owner, row.intent, row.intent_now) == (True, "w", None, False)
    control(store, PLAY, pid)
    control(store, PAUSE, pid, now=True)
    control(store, PLAY, pid)
    assert not store.suspend(pid, "w", epoch).result().paused, "it was taken back"
    control(store, PAUSE, pid, now=True)
    assert store.release(pid, "w", epoch).result().paused
    control(store, PLAY, pid)
    (again,) = store.claim([pid], "w").result()
    control(store, PAUSE, pid, now=True)
    control(store, KILL, pid)
    assert (row_of(store, pid).intent, row_of(store, pid).intent_now) == (KILL, False)
    control(store, PAUSE, pid, now=True)
    assert row_of(store, pid).intent is KILL, "it wins"
    assert store.release(pid, "w", again.row.epoch).result().state is State.KILLED


def test_pausing_twice_and_playing_twice_do_no_harm(store: Store) -> None:
    (pid,) = born(store)
    assert [control(store, PAUSE, pid)[0].applied for _ in range(2)] == [True, True]
    assert len(control(store, PLAY, pid)[0].woken) == 1
    (again,) = control(store, PLAY, pid)
    assert (again.applied, again.woken) == (True, ())


def test_a_paused_process_that_waited_is_woken_by_play(store: Store) -> None:
    (parent,) = held(store, "w1")
    (child,) = held(store, "w2")
    step(store, parent, State.WAITING, awaits=[child.row.pid], release=True)
    control(store, PAUSE, parent.row.pid)
    assert finish(store, child).woken == []
    row = row_of(store, parent.row.pid)
    assert (row.awaiting, row.ready) == (0, False)
    (played,) = control(store, PLAY, parent.row.pid)
    assert [one.pid for one in played.woken] == [parent.row.pid]


def test_playing_one_that_still_waits_wakes_nobody(store: Store) -> None:
    (parent,) = held(store, "w1")
    step(store, parent, State.WAITING, awaits=born(store), release=True)
    control(store, PAUSE, parent.row.pid)
    (played,) = control(store, PLAY, parent.row.pid)
    assert (played.applied, played.woken) == (True, ())


def test_kill_of_one_that_nobody_holds(store: Store) -> None:
    (parent,) = held(store, "w1")
    (pid,) = born(store)
    step(store, parent, State.WAITING, awaits=[pid], release=True)
    (killed,) = control(store, KILL, pid)
    assert (killed.applied, killed.owner) == (True, None)
    assert [(one.pid, one.owner) for one in killed.woken] == [(parent.row.pid, None)]
    row = row_of(store, pid)
    assert (row.state, row.status, row.ready) == (State.KILLED, "because", False)
    assert row.ended is not None


def test_what_has_terminated_or_is_not_there_is_refused(store: Store) -> None:
    (claim,) = held(store, "w")
    finish(store, claim)
    pid = claim.row.pid
    for verb in Control:
        ended, missing = control(store, verb, pid, 424242)
        assert (ended.found, ended.applied, missing.found, missing.applied) == (True, False, False, False)
        assert ended.refused is not None
        assert "finished" in ended.refused
        assert missing.refused is not None
    assert store.control(KILL, Selection(live=True), author="ann").result() == []
    assert not [e for e in store.events(pid) if e.kind == "control"]


# Owned: an intent


def test_pause_of_one_that_a_worker_holds_is_an_intent(store: Store) -> None:
    (claim,) = held(store, "w")
    (outcome,) = control(store, PAUSE, claim.row.pid)
    assert (outcome.applied, outcome.owner) == (False, "w")
    row = row_of(store, claim.row.pid)
    assert (row.intent, row.intent_reason, row.paused, row.owner) == (PAUSE, "because", False, "w")
    met = step(store, claim, State.RUNNING)
    assert (met.intent, met.intent_reason) == (PAUSE, "because")
    step(store, claim, State.RUNNING, paused=True, reason="because")
    row = row_of(store, claim.row.pid)
    assert (row.intent, row.paused, row.owner, row.ready, row.status) == (None, True, None, False, "because")


@pytest.mark.parametrize("verb", [PAUSE, KILL])
def test_one_that_waits_in_a_worker_is_taken_away(store: Store, verb: Control) -> None:
    (parent,) = held(store, "w")
    (child,) = held(store, "w2")
    step(store, parent, State.WAITING, awaits=[child.row.pid])
    (outcome,) = control(store, verb, parent.row.pid)
    assert (outcome.applied, outcome.owner) == (True, "w")  # who has to be told
    row = row_of(store, parent.row.pid)
    assert (row.owner, row.intent, row.paused) == (None, None, verb is PAUSE)
    assert store.release(parent.row.pid, "w", 1).result().fenced
    assert finish(store, child).woken == []


@pytest.mark.parametrize("how", ["all", "any"])
def test_a_kill_takes_one_that_waits_for_children_with_smaller_numbers(store: Store, how: str) -> None:
    children = new(store, 2)
    (parent,) = held(store, "w")
    step(
        store,
        parent,
        State.WAITING,
        children=children,
        awaits=[one.pid for one in children],
        wait_any=how == "any",
    )
    outcomes = control(store, KILL, parent.row.pid)
    assert [(one.pid, one.applied) for one in outcomes] == [
        *((child.pid, True) for child in children),
        (parent.row.pid, True),
    ]
    assert (row_of(store, parent.row.pid).state, row_of(store, parent.row.pid).exit_message) == (
        State.KILLED,
        "because",
    )


@pytest.mark.parametrize("verb", [PAUSE, KILL])
def test_one_that_has_nothing_left_to_wait_for_may_be_in_a_step(store: Store, verb: Control) -> None:
    (parent,) = held(store, "w")
    (child,) = held(store, "w2")
    step(store, parent, State.WAITING, awaits=[child.row.pid])
    finish(store, child)
    (outcome,) = control(store, verb, parent.row.pid)
    assert (outcome.applied, outcome.owner) == (False, "w")
    assert row_of(store, parent.row.pid).intent is verb


def test_a_release_applies_the_intent(store: Store) -> None:
    soft, hard = held(store, "w", 2)
    (child,) = born(store, parent=hard.row.pid)
    control(store, PAUSE, soft.row.pid)
    control(store, KILL, hard.row.pid)
    paused = store.release(soft.row.pid, "w", 1).result()
    assert (paused.paused, paused.ready, paused.kept) == (True, False, False)
    killed = store.release(hard.row.pid, "w", 1).result()
    assert killed.state is State.KILLED
    assert [(o.pid, o.applied) for o in killed.cascade] == [(hard.row.pid, True)]
    assert row_of(store, child).state is State.KILLED  # at the kill already


def test_play_before_the_pause_is_applied_has_the_last_word(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    control(store, PAUSE, pid)
    (played,) = control(store, PLAY, pid)
    assert (played.applied, played.owner) == (True, "w")
    assert row_of(store, pid).intent is None
    late = step(store, claim, State.RUNNING, paused=True, reason="too late")
    row = row_of(store, pid)
    assert (row.paused, row.owner, row.ready) == (False, None, True)
    assert [(one.pid, one.owner) for one in late.woken] == [(pid, None)]  # somebody has to enqueue it


def test_a_process_may_pause_itself(store: Store) -> None:
    (claim,) = held(store, "w")
    step(store, claim, State.RUNNING, paused=True, reason="its class cannot be loaded")
    row = row_of(store, claim.row.pid)
    assert (row.paused, row.owner, row.status) == (True, None, "its class cannot be loaded")


def test_kill_wins_over_pause(store: Store) -> None:
    (claim,) = held(store, "w")
    control(store, PAUSE, claim.row.pid)
    control(store, KILL, claim.row.pid)
    (late,) = control(store, PAUSE, claim.row.pid)
    assert late.applied is False
    control(store, PLAY, claim.row.pid)
    assert row_of(store, claim.row.pid).intent is KILL
    outcome = step(store, claim, State.RUNNING, paused=True)
    assert outcome.state is State.KILLED


def test_an_accepted_kill_holds_even_if_the_last_step_ends_first(store: Store) -> None:
    (claim,) = held(store, "w")
    control(store, KILL, claim.row.pid)
    outcome = finish(store, claim)
    assert outcome.state is State.KILLED
    row = row_of(store, claim.row.pid)
    assert (row.state, row.intent, row.status, row.exit_status) == (State.KILLED, None, "because", None)
    assert store.results([claim.row.pid])[0].outputs == b"outputs"  # what was put out is kept


def test_the_owner_applies_a_kill_to_the_whole_family(store: Store) -> None:
    (claim,) = held(store, "w")
    control(store, KILL, claim.row.pid)
    loose, busy = new(store, 2)
    step(store, claim, State.RUNNING, children=[loose, busy])
    (other,) = store.claim([busy.pid], "w2").result()
    (grandchild,) = born(store, parent=busy.pid)
    outcome = step(store, claim, State.KILLED, reason="because")
    assert [(o.pid, o.applied, o.owner) for o in outcome.cascade] == [
        (claim.row.pid, True, None),
        (loose.pid, True, None),
        (busy.pid, False, "w2"),
        (grandchild, True, None),
    ]
    assert row_of(store, other.row.pid).intent is KILL
    assert row_of(store, claim.row.pid).status == "because"


def test_force_ends_and_fences(store: Store) -> None:
    (claim,) = held(store, "w")
    (outcome,) = control(store, KILL, claim.row.pid, force=True)
    assert outcome.applied
    assert outcome.before is not None
    assert outcome.before.owner == "w"
    assert finish(store, claim).fenced
    assert row_of(store, claim.row.pid).state is State.KILLED
    assert store.results([claim.row.pid])[0].outputs is None


# Trees


def test_kill_takes_all_descendants_along(store: Store) -> None:
    (top,) = born(store)
    (middle,) = held(store, "w", parent=top)
    (leaf,) = born(store, parent=middle.row.pid)
    finish(store, middle)  # a finished one in between does not protect its children
    (busy,) = held(store, "w", parent=top)
    (bystander,) = born(store)
    outcomes = control(store, KILL, top)
    assert [(o.pid, o.applied) for o in outcomes] == [(top, True), (leaf, True), (busy.row.pid, False)]
    assert row_of(store, busy.row.pid).intent is KILL
    assert row_of(store, bystander).state is State.CREATED
    assert row_of(store, middle.row.pid).state is State.FINISHED


def test_only_a_kill_takes_the_children_along(store: Store) -> None:
    done, failed = held(store, "w", 2)
    children = [born(store, parent=one.row.pid)[0] for one in (done, failed)]
    finish(store, done)
    step(store, failed, State.EXCEPTED, error=b"")
    assert [row_of(store, pid).state for pid in children] == [State.CREATED] * 2


def test_a_child_born_into_a_paused_tree_is_paused(store: Store) -> None:
    (top,) = held(store, "w")
    (sibling,) = born(store, parent=top.row.pid)
    assert [(o.pid, o.applied) for o in tree(store, PAUSE, top.row.pid)] == [
        (top.row.pid, False),
        (sibling, True),
    ]
    (child,) = new(store)
    step(store, top, State.RUNNING, children=[child])
    assert row_of(store, child.pid).paused
    (late,) = born(store, parent=child.pid)
    assert row_of(store, late).paused
    store.release(top.row.pid, "w", 1).result()
    assert {o.pid for o in tree(store, PLAY, top.row.pid) if o.woken} == {
        top.row.pid, sibling, child.pid, late,
    }  # fmt: skip
    (free,) = born(store, parent=child.pid)
    assert not row_of(store, free).paused


def test_pausing_a_parent_alone_does_not_pause_its_children(store: Store) -> None:
    (top,) = born(store)
    control(store, PAUSE, top)
    (child,) = born(store, parent=top)
    assert not row_of(store, child).paused


# Many


@pytest.mark.parametrize("verbs", [(PAUSE, PLAY), (KILL,)])
def test_ten_thousand_at_once(store: Store, verbs: tuple[Control, ...]) -> None:
    pids = born(store, 10_000)
    for verb in verbs:
        begun = time.perf_counter()
        outcomes = store.control(verb, Selection(live=True), author="ann").result()
        took = time.perf_counter() - begun
        assert [o.pid for o in outcomes] == list(pids)
        assert all(o.applied for o in outcomes)
        assert took < 30, f"{verb} of 10,000 took {took:.1f} s"  # 0.5 to 2 s on an idle machine
    assert store.counts()[State.KILLED] == (10_000 if KILL in verbs else 0)


def test_a_selection_that_names_and_filters(store: Store) -> None:
    one, two = born(store, 2)
    control(store, PAUSE, one)
    selection = Selection(pids=[one, two], paused=False)
    outcomes = store.control(PAUSE, selection, author="ann").result()
    assert [(o.pid, o.applied) for o in outcomes] == [(one, False), (two, True)]
    assert outcomes[0].refused is not None
