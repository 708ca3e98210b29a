"""What is read for those who look: children, histories of many, what ended when, queues, how workers are."""

from __future__ import annotations

import time

from quince_persistence.records import Control, NewEvent, Selection, State, Tally
from quince_persistence.records.workers import NO_VITALS, Vitals, WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store, store_url

__all__ = ["store", "store_url"]


def test_children_are_read_level_by_level_and_counted_by_what_they_are(store: Store) -> None:
    (one, two) = held(store, "w", 2)
    children = new(store, 5, parent=one.row.pid)
    step(store, one, State.WAITING, children=children, awaits=[child.pid for child in children])
    (other,) = new(store, parent=two.row.pid)
    step(store, two, State.WAITING, children=[other], awaits=[other.pid])
    pids = [child.pid for child in children]
    well, bad, odd, *_ = store.claim(pids[:3], "w").result()
    finish(store, well)
    step(store, bad, State.EXCEPTED, error=b"e", exit_message="no")
    step(store, odd, State.FINISHED, exit_status=410)
    store.control(Control.PAUSE, Selection(pids=pids[3:4]), author="me").result()
    parents = [one.row.pid, two.row.pid]
    assert [row.pid for row in store.children(parents, most=3)] == pids[:3]
    assert [row.pid for row in store.children(parents, most=99)] == [*pids, other.pid]
    assert store.child_counts([*parents, other.pid]) == {parents[0]: 5, parents[1]: 1}
    tallies = store.tallies(parents)
    assert {(one.state, one.paused, one.failed, one.count) for one in tallies[parents[0]]} == {
        (State.FINISHED, False, False, 1),
        (State.FINISHED, False, True, 1),
        (State.EXCEPTED, False, True, 1),
        (State.CREATED, True, False, 1),
        (State.CREATED, False, False, 1),
    }
    assert tallies[parents[1]] == [Tally(State.CREATED, paused=False, failed=False, count=1)]
    assert store.awaited_by(parents) == {parents[0]: pids[3:], parents[1]: [other.pid]}
    assert store.paused_counts() == {State.CREATED: 1}
    assert store.children([], most=9) == []
    assert store.tallies([]) == {}


def test_the_newest_of_several_states_are_those_of_a_look_at_all_of_them(store: Store) -> None:
    claims = held(store, "w", 6)
    pids = [claim.row.pid for claim in claims]
    finish(store, claims[1])
    step(store, claims[2], State.WAITING, awaits=[pids[5]])
    queued = list(born(store, 2))
    live = sorted({*pids, *queued} - {pids[1]}, reverse=True)

    def found(**wanted: object) -> list[int]:
        return [row.pid for row in store.select(Selection(**wanted))]  # type: ignore[arg-type]

    assert found(live=True) == found(live=True, limit=99) == live
    assert found(live=True, limit=3) == live[:3]
    assert found(live=True, limit=3, before=live[2]) == live[3:6]
    assert found(live=True, limit=99, above=live[3]) == live[:3]
    assert found(states=[State.FINISHED, State.WAITING], limit=9) == [pids[2], pids[1]]
    assert found(live=True, classes=["Thing"], limit=2) == live[:2]
    assert found(live=True, classes=["Other"], limit=2) == []
    store.control(Control.PAUSE, Selection(pids=queued), author="me").result()
    assert found(paused=True, limit=9) == queued[::-1]


def test_histories_of_many_are_those_of_each(store: Store) -> None:
    claims = held(store, "w", 3)
    pids = [claim.row.pid for claim in claims]
    store.report(pids[0], [NewEvent("report", {"text": "x"})]).result()
    finish(store, claims[0])
    finish(store, claims[1])
    found = store.histories(pids, ["state"])
    assert found == {pid: [event for event in store.events(pid) if event.kind == "state"] for pid in pids}
    assert store.histories(pids[2:], ["report"]) == {}


def test_what_has_ended_is_counted_by_when(store: Store) -> None:
    start = store.clock() - 0.001
    claims = held(store, "w", 3)
    finish(store, claims[0])
    step(store, claims[1], State.EXCEPTED, error=b"e")
    ((place, count, failed),) = store.ends(start, 3600.0)
    assert (place, count, failed) == (0, 2, 1)
    assert store.ends(start - 3600.0, 3600.0)[-1][1:] == (2, 1)
    assert store.ends(store.clock() + 1, 60.0) == []


def test_queues_tell_their_depth_and_how_long_the_first_has_waited(store: Store) -> None:
    assert store.queues() == []
    before = store.clock()
    born(store, 3, queue="b")
    held(store, "w", queue="c")
    born(store, queue="a")
    queues = {row.name: row for row in store.queues()}
    assert {name: row.depth for name, row in queues.items()} == {"a": 1, "b": 3}
    assert before - 0.01 <= queues["b"].since <= queues["a"].since <= store.clock()


def test_a_worker_says_how_it_is_with_its_heartbeats(store: Store) -> None:
    now = time.time()
    store.register_worker(WorkerRow("h:1:a", "h", 1, "w", ("q",), 2, None, "running", now, now)).result()
    (row,) = store.workers()
    assert row.vitals == NO_VITALS
    vitals = Vitals(load=0.5, processors=2, memory=1 << 40, free=3, step_hosts=0)
    store.heartbeat("h:1:a", vitals=vitals).result()
    store.heartbeat("h:1:a").result()
    (row,) = store.workers()
    assert row.vitals == vitals
