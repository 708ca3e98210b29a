"""What every store does for one process: insert, claim, steps, release, end, reads."""

from __future__ import annotations

import math
import time

import pytest
from msgspec.structs import replace

from quince_persistence.errors import (
    IllegalTransition,
    KeyTaken,
    PidTaken,
    RecordRefused,
    StoreClosed,
    UnknownProcess,
)
from quince_persistence.records import NewEvent, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

# Inserting


def test_an_inserted_process_is_created_and_ready(store: Store) -> None:
    before = time.time()
    (pid,) = born(store, queue="fast", priority=3, class_version="2", inputs=b"in")
    row = store.get(pid)
    assert row is not None
    assert (row.state, row.ready, row.paused, row.owner, row.epoch) == (State.CREATED, True, False, None, 0)
    assert (row.root, row.parent, row.queue, row.priority, row.class_version) == (pid, None, "fast", 3, "2")
    assert before - 1 <= row.created == row.updated <= time.time() + 1
    assert store.inputs(pid) == b"in"
    assert store.checkpoint(pid) is None
    assert store.backlog() == {"fast": 1}


def test_pids_ascend_without_gaps_at_first_and_are_never_given_twice(stores: tuple[Store, Store]) -> None:
    first, _ = stores
    assert list(first.allocate_pids(1)) == [1]
    assert list(first.allocate_pids(1)) == [2]
    given = [pid for _ in range(50) for one in stores for pid in one.allocate_pids(7)]
    assert len(set(given)) == 700
    assert min(given) > 2


def test_a_pid_of_another_history_is_not_given_again(stores: tuple[Store, Store]) -> None:
    """One program's block of pids is older than the backup that the database was put back to."""
    first, second = stores
    (late,) = new(first)
    late = replace(late, pid=late.pid + 500)
    first.insert([late]).result()
    mine = second.allocate_pids(1)[0]
    assert mine == late.pid + 1
    with pytest.raises(PidTaken):
        second.insert([replace(late, key="other")]).result()
    rest = second.allocate_pids(3)
    second.forget_pids()
    assert second.allocate_pids(1)[0] > rest[-1]


def test_claims_of_what_is_not_there_are_dropped_with_a_word(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (pid,) = born(store)
    assert [claim.row.pid for claim in store.claim([pid, pid + 7], "w").result()] == [pid]
    assert f"there are no processes [{pid + 7}] here" in caplog.text


def test_it_is_known_when_a_process_was_first_taken_up(store: Store) -> None:
    pids = born(store, 3)
    store.claim([pids[0]], "w").result()
    first = store.events(pids[0])[0].at
    store.release_worker("w").result()
    store.claim([pids[0]], "w2").result()
    assert store.started([*pids, 10**9]) == {pids[0]: first}


def test_a_paused_process_is_born_not_ready(store: Store) -> None:
    (pid,) = born(store, paused=True)
    row = store.get(pid)
    assert row is not None
    assert row.paused
    assert not row.ready
    assert store.claim([pid], "w").result() == []


def test_a_key_belongs_to_one_process(stores: tuple[Store, Store]) -> None:
    first, second = stores
    (pid,) = born(first, key="nightly")
    mine, other = new(second, key="nightly")[0], new(second)[0]
    assert list(second.insert([mine, other]).result()) == [pid, other.pid]
    assert second.get(mine.pid) is None
    found = second.find_key("nightly")
    assert found is not None
    assert found.pid == pid
    twins = [replace(one, key="twin") for one in new(first, 2)]
    assert list(first.insert(twins).result()) == [twins[0].pid] * 2


def test_a_pid_is_inserted_once(store: Store) -> None:
    (pid,) = born(store)
    with pytest.raises(RecordRefused):
        store.insert([replace(new(store)[0], pid=pid)]).result()
    with pytest.raises(UnknownProcess):
        store.insert(new(store, parent=10_000_000)).result()


def test_children_know_parent_and_root(store: Store) -> None:
    (top,) = born(store)
    (child,) = born(store, parent=top)
    (grandchild,) = born(store, parent=child)
    row = store.get(grandchild)
    assert row is not None
    assert (row.parent, row.root) == (child, top)
    assert [one.pid for one in store.tree(top)] == [top, child, grandchild]
    assert [one.pid for one in store.tree(child)] == [child, grandchild]


# Claims


def test_a_claim_raises_the_epoch_and_brings_all_that_is_needed(store: Store) -> None:
    (pid,) = born(store, inputs=b"in")
    (claim,) = store.claim([pid], "w1").result()
    assert (claim.row.owner, claim.row.epoch, claim.row.state) == ("w1", 1, State.RUNNING)
    assert (claim.inputs, claim.checkpoint) == (b"in", None)
    assert store.claim([pid, pid, 999], "w2").result() == []
    step(store, claim, State.RUNNING, checkpoint=b"one")
    store.release(pid, "w1", 1).result()
    (again,) = store.claim([pid], "w2").result()
    assert (again.row.owner, again.row.epoch, again.checkpoint) == ("w2", 2, b"one")


def test_a_stale_epoch_is_fenced_and_writes_nothing(store: Store) -> None:
    (stale,) = held(store, "w1")
    pid = stale.row.pid
    store.release(pid, "w1", 1).result()
    (fresh,) = store.claim([pid], "w1").result()
    child = new(store)[0]
    outcome = step(
        store,
        stale,
        State.FINISHED,
        outputs=b"late",
        checkpoint=b"late",
        children=[child],
        events=[NewEvent("report", {"text": "late"})],
    )
    assert outcome.fenced
    assert (outcome.awaiting, outcome.intent, outcome.woken) == (0, None, ())
    assert store.get(pid) == fresh.row
    assert store.get(child.pid) is None
    assert store.inputs(child.pid) is None
    assert [e.kind for e in store.events(pid)] == ["state", "claim"]
    assert store.checkpoint(pid) is None
    assert store.results([pid])[0].outputs is None
    assert store.release(pid, "w1", 1).result().fenced
    assert store.commit(Step(pid, "w2", 2, State.RUNNING)).result().fenced
    assert store.commit(Step(424242, "w2", 2, State.RUNNING)).result().fenced


# Steps


def test_a_step_writes_everything_together(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    first, second = new(store, 2)
    outcome = step(
        store,
        claim,
        State.WAITING,
        step="collect",
        status="launched",
        checkpoint=b"ctx",
        children=[first, second],
        awaits=[first.pid, second.pid],
        events=[NewEvent("report", {"text": "hello"})],
        revision="a1",
    )
    assert (outcome.fenced, outcome.awaiting, outcome.intent) == (False, 2, None)
    row = store.get(pid)
    assert row is not None
    assert (row.state, row.step, row.status, row.awaiting) == (State.WAITING, "collect", "launched", 2)
    assert (row.ready, row.owner) == (False, "w")
    assert store.checkpoint(pid) == b"ctx"
    assert [one.pid for one in store.awaited(pid)] == [first.pid, second.pid]
    child = store.get(first.pid)
    assert child is not None
    assert (child.parent, child.root, child.ready) == (pid, pid, True)
    assert [(e.kind, dict(e.body)) for e in store.events(pid)] == [
        ("state", {"from": "created", "to": "running"}),
        ("report", {"text": "hello"}),
        ("state", {"from": "running", "to": "waiting", "revision": "a1"}),
    ]


def test_a_checkpoint_that_is_not_given_stays(store: Store) -> None:
    (claim,) = held(store, "w")
    step(store, claim, State.RUNNING, checkpoint=b"one")
    step(store, claim, State.RUNNING, step="two")
    assert store.checkpoint(claim.row.pid) == b"one"
    step(store, claim, State.RUNNING, checkpoint=b"two")
    assert store.checkpoint(claim.row.pid) == b"two"


def test_a_bad_end_keeps_the_outcome_and_what_it_can_go_on_from(store: Store) -> None:
    (claim,) = held(store, "w")
    pid = claim.row.pid
    step(store, claim, State.RUNNING, checkpoint=b"ctx", step="two")
    step(
        store,
        claim,
        State.FINISHED,
        outputs=b"out",
        exit_status=410,
        exit_message="nothing to do",
        revision="b2",
    )
    row = store.get(pid)
    assert row is not None
    assert row.terminated
    assert (row.owner, row.ready, row.step, row.intent, row.awaiting) == (None, False, "two", None, 0)
    assert (row.exit_status, row.exit_message) == (410, "nothing to do")
    assert row.ended == row.updated
    assert store.checkpoint(pid) == b"ctx"
    (result,) = store.results([pid])
    assert (result.outputs, result.error, result.row) == (b"out", None, row)
    assert [dict(e.body) for e in store.events(pid)] == [
        {"from": "created", "to": "running"},
        {"from": "running", "to": "finished", "revision": "b2"},
    ]
    assert step(store, claim, State.RUNNING).fenced
    assert store.claim([pid], "w").result() == []


def test_a_good_end_drops_what_it_could_go_on_from(store: Store) -> None:
    (claim,) = held(store, "w")
    step(store, claim, State.RUNNING, checkpoint=b"ctx", step="two")
    finish(store, claim)
    row = store.get(claim.row.pid)
    assert row is not None
    assert row.step is None
    assert store.checkpoint(claim.row.pid) is None


def test_an_exception_is_kept(store: Store) -> None:
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED, error=b"traceback", exit_message="ValueError: no")
    (result,) = store.results([claim.row.pid])
    assert (result.error, result.outputs, result.row.state) == (b"traceback", None, State.EXCEPTED)


def test_results_come_in_the_order_asked(store: Store) -> None:
    first, second = born(store, 2)
    assert [one.row.pid for one in store.results([second, 777, first])] == [second, first]


@pytest.mark.parametrize("before", [State.RUNNING, State.WAITING])
def test_nobody_goes_back_to_created(store: Store, before: State) -> None:
    (claim,) = held(store, "w")
    step(store, claim, before, due=math.inf if before is State.WAITING else None)
    with pytest.raises(IllegalTransition):
        step(store, claim, State.CREATED)
    row = store.get(claim.row.pid)
    assert row is not None
    assert row.state is before


def test_a_child_with_a_taken_key_refuses_the_step(store: Store) -> None:
    (taken,) = born(store, key="one")
    (claim,) = held(store, "w")
    fine, wrong = new(store)[0], new(store, key="one")[0]
    with pytest.raises(KeyTaken, match=rf"'one'.*{taken}"):
        step(store, claim, State.RUNNING, children=[fine, wrong])
    assert store.get(fine.pid) is None
    assert store.get(claim.row.pid) == claim.row


def test_waiting_for_nobody_is_refused(store: Store) -> None:
    (claim,) = held(store, "w")
    with pytest.raises(UnknownProcess, match="424242"):
        step(store, claim, State.WAITING, awaits=[424242])
    with pytest.raises(RecordRefused, match="itself"):
        step(store, claim, State.WAITING, awaits=[claim.row.pid])
    assert store.get(claim.row.pid) == claim.row


# Waiting and waking


def test_a_child_wakes_its_lingering_parent(store: Store) -> None:
    (parent,) = held(store, "w1")
    children = held(store, "w2", 2)
    outcome = step(store, parent, State.WAITING, awaits=[c.row.pid for c in children])
    assert outcome.awaiting == 2
    assert finish(store, children[0]).woken == []
    (woken,) = finish(store, children[1]).woken
    assert (woken.pid, woken.owner) == (parent.row.pid, "w1")
    row = store.get(parent.row.pid)
    assert row is not None
    assert (row.ready, row.awaiting, row.state) == (True, 0, State.WAITING)
    assert store.awaited(parent.row.pid) == []


def test_a_child_wakes_its_evicted_parent(store: Store) -> None:
    (parent,) = held(store, "w1", queue="slow", priority=2)
    (child,) = held(store, "w2")
    outcome = step(store, parent, State.WAITING, awaits=[child.row.pid], release=True)
    assert outcome.awaiting == 1
    assert store.claim([parent.row.pid], "w3").result() == []
    (woken,) = finish(store, child).woken
    assert (woken.pid, woken.owner, woken.queue, woken.priority) == (parent.row.pid, None, "slow", 2)
    assert len(store.claim([parent.row.pid], "w3").result()) == 1


def test_a_child_that_ended_first_is_seen(store: Store) -> None:
    (parent,) = held(store, "w1")
    done, live = held(store, "w2", 2)
    finish(store, done)
    outcome = step(store, parent, State.WAITING, awaits=[done.row.pid, live.row.pid, done.row.pid])
    assert outcome.awaiting == 1
    finish(store, live)
    assert step(store, parent, State.WAITING, awaits=[done.row.pid, live.row.pid]).awaiting == 0


def test_a_waiting_process_with_nothing_left_is_not_released(store: Store) -> None:
    (parent,) = held(store, "w1")
    (child,) = held(store, "w2")
    finish(store, child)
    outcome = step(store, parent, State.WAITING, awaits=[child.row.pid], release=True)
    assert (outcome.awaiting, outcome.ready) == (0, True)
    row = store.get(parent.row.pid)
    assert row is not None
    assert row.owner == "w1"  # it goes on at once
    kept = store.release(parent.row.pid, "w1", 1).result()
    assert (kept.kept, kept.fenced, kept.awaiting) == (True, False, 0)
    assert step(store, parent, State.RUNNING).fenced is False


def test_leaving_the_wait_forgets_what_was_awaited(store: Store) -> None:
    (parent,) = held(store, "w1")
    (child,) = held(store, "w2")
    step(store, parent, State.WAITING, awaits=[child.row.pid], due=time.time() + 3600)
    step(store, parent, State.RUNNING)
    row = store.get(parent.row.pid)
    assert row is not None
    assert (row.awaiting, row.due, row.ready) == (0, None, True)
    assert finish(store, child).woken == []


def test_a_second_wait_replaces_the_first(store: Store) -> None:
    (parent,) = held(store, "w1")
    first, second = held(store, "w2", 2)
    step(store, parent, State.WAITING, awaits=[first.row.pid])
    assert step(store, parent, State.WAITING, awaits=[second.row.pid]).awaiting == 1
    assert finish(store, first).woken == []
    assert [one.pid for one in finish(store, second).woken] == [parent.row.pid]


def test_one_child_wakes_all_that_await_it(store: Store) -> None:
    parents = held(store, "w1", 3)
    (child,) = held(store, "w2")
    for parent in parents:
        step(store, parent, State.WAITING, awaits=[child.row.pid], release=True)
    assert [one.pid for one in finish(store, child).woken] == [p.row.pid for p in parents]


# Releasing, history, timers


def test_released_running_processes_are_ready(store: Store) -> None:
    (claim,) = held(store, "w")
    outcome = step(store, claim, State.RUNNING, release=True)
    assert (outcome.ready, outcome.state) == (True, State.RUNNING)
    row = store.get(claim.row.pid)
    assert row is not None
    assert (row.owner, row.ready) == (None, True)


def test_reports_stand_in_the_order_of_their_commits(store: Store) -> None:
    (pid,) = born(store)
    for number in range(3):
        store.report(pid, [NewEvent("report", {"n": number}, author="me")]).result()
    events = store.events(pid)
    assert [event.body["n"] for event in events] == [0, 1, 2]
    assert [event.author for event in events] == ["me"] * 3
    assert sorted(event.seq for event in events) == [event.seq for event in events]
    assert store.events(pid, after=events[0].seq, limit=1) == [events[1]]
    with pytest.raises(UnknownProcess):
        store.report(424242, [NewEvent("report", {})]).result()
    with pytest.raises(RecordRefused, match="JSON"):
        store.report(pid, [NewEvent("report", {"x": object()})]).result()


def test_a_timer_is_one_thing_to_wait_for(store: Store) -> None:
    (parent,) = held(store, "w1")
    (child,) = held(store, "w2")
    pid = parent.row.pid
    due = time.time() + 3600
    assert step(store, parent, State.WAITING, awaits=[child.row.pid], due=due).awaiting == 2
    assert store.wake(pid, "w1", 1).result() == []
    assert store.wake(pid, "w1", 1).result() == []  # counted off once
    row = store.get(pid)
    assert row is not None
    assert (row.due, row.awaiting) == (None, 1)
    assert [one.pid for one in finish(store, child).woken] == [pid]
    assert store.wake(pid, "w1", 1).result() == []


def test_the_loser_of_a_claim_fires_no_timer(store: Store) -> None:
    (claim,) = held(store, "w")
    assert step(store, claim, State.WAITING, due=math.inf).awaiting == 1
    assert store.sweep(expiry=60, stale=60).result().due == []
    pid = claim.row.pid
    assert store.wake(pid, "other", 1).result() == store.wake(pid, "w", 2).result() == []
    assert [(one.pid, one.owner) for one in store.wake(pid, "w", 1).result()] == [(pid, "w")]


def test_timers_that_are_due_are_fired_once(stores: tuple[Store, Store]) -> None:
    store, other = stores
    early, late = held(store, "w", 2)
    step(store, early, State.WAITING, due=time.time() - 5, release=True)
    step(store, late, State.WAITING, due=time.time() + 3600, release=True)
    fired = [one for s in (store, other) for one in s.sweep(expiry=60, stale=60).result().due]
    assert [one.pid for one in fired] == [early.row.pid]
    row = store.get(early.row.pid)
    assert row is not None
    assert (row.ready, row.awaiting, row.due) == (True, 0, None)


# Reads


def test_selections(store: Store) -> None:
    first, second, third = (born(store, class_path=path)[0] for path in ("pkg.a:One", "pkg.a:Out.Two", "One"))
    (child,) = born(store, parent=first, queue="fast", key="k")

    def pids(**fields: object) -> list[int]:
        return [row.pid for row in store.select(Selection(**fields))]  # type: ignore[arg-type]

    assert pids() == [child, third, second, first]
    assert pids(pids=[first, third, 999]) == [third, first]
    assert pids(trees=[first]) == [child, first]
    assert pids(classes=["pkg.a:One"]) == [first]
    assert pids(classes=["One"]) == [third, first]
    assert pids(classes=["Two"]) == pids(classes=["Out.Two"]) == [second]
    assert pids(classes=["one", "%", "ne"]) == []
    assert pids(parent=first) == pids(queue="fast") == pids(key="k") == [child]
    assert pids(paused=True) == []
    assert pids(limit=2) == [child, third]
    assert pids(limit=2, before=third) == [second, first]
    assert pids(since=time.time() + 100) == []
    (claim,) = store.claim([second], "w").result()
    finish(store, claim)
    assert pids(states=[State.FINISHED]) == [second]
    assert pids(live=True, limit=10) == [child, third, first]
    assert store.counts()[State.CREATED] == 3
    assert store.counts()[State.KILLED] == 0


def test_live_processes_with_their_checkpoints(store: Store) -> None:
    claims = held(store, "w", 3)
    for claim in claims:
        step(store, claim, State.RUNNING, checkpoint=b"%d" % claim.row.pid)
    finish(store, claims[1])
    assert [(c.row.pid, c.inputs, c.checkpoint) for c in store.live()] == [
        (c.row.pid, b"inputs", b"%d" % c.row.pid) for c in (claims[0], claims[2])
    ]


def test_what_is_not_there(store: Store) -> None:
    assert store.get(1) is None
    assert store.find_key("x") is None
    assert store.find_key("x\0y") is store.find_key("x\udc80y") is None
    assert store.inputs(1) is store.checkpoint(1) is None
    assert [*store.tree(1), *store.results([1]), *store.events(1), *store.awaited(1)] == []


def test_a_store_that_is_not_open_says_so(store_url: str) -> None:
    store = Store(store_url)
    with pytest.raises(StoreClosed):
        store.get(1)
    with store:
        store.open()
        (pid,) = born(store)
    store.close()
    with pytest.raises(StoreClosed):
        store.wake(pid, "w", 1)
    with store:
        assert store.get(pid) is not None
