"""Schedules on every kind of store: each moment once, whoever fires it; and what overlaps."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from quince_persistence.codec import cuts_of, encode_each
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import ScheduleTaken, ScheduleUnreadable, UnknownSchedule
from quince_persistence.records import ProcessOptions, Selection, State
from quince_persistence.records.schedules import Due, Fired, Firing, Overlap, Schedule, ScheduleRow, key_of
from quince_persistence.schema.tables import contents
from quince_persistence.store import Store
from tests.contracts.store_backends import finish, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

NAME = "nightly"


LATER = 4e9
"""A time that the clock has not reached."""


def put(store: Store, name: str = NAME, *, next_at: float | None = 100.0, **fields: Any) -> ScheduleRow:
    schedule = Schedule("tests.things:Thing", every=10.0, start=100.0, **fields)
    return store.put_schedule(
        name, schedule, b"inputs", moment=next_at, next_at=next_at, author="ada"
    ).result()


def fire(store: Store, *moments: float, late: bool = False, **fields: Any) -> Fired:
    """Fire the schedule, as it stands, for these."""
    seen = store.schedule(NAME)
    following = moments[-1] + 10.0 if moments else 100.0
    due = [Due(at, f"at {at:g}", late) for at in moments]
    given = {
        "seen": seen,
        "moment": following,
        "next_at": following,
        "last_at": moments[-1] if moments else None,
    }
    pids = store.allocate_pids(len(due) + 1)
    return store.fire(Firing(NAME, due, pids, **(given | fields))).result()


def row_of(store: Store) -> ScheduleRow:
    row = store.schedule(NAME)
    assert row is not None
    return row


def whats(store: Store) -> list[str]:
    return [line.what for line in row_of(store).state.lines]


def end(store: Store, pid: int) -> None:
    (claim,) = store.claim([pid], "w").result()
    finish(store, claim)


def test_a_firing_makes_a_process_and_sets_the_next_time(store: Store) -> None:
    moment = LATER
    put(store, next_at=moment, queue="gpu", priority=7)
    assert [row.name for row in store.due_schedules(moment)] == [NAME]
    assert store.due_schedules(moment - 1) == []
    (made,) = fire(store, moment).made
    assert (made.queue, made.priority) == ("gpu", 7)
    process = store.get(made.pid)
    assert process is not None
    text = f"at {moment:g}"
    assert (process.key, process.state) == (key_of(NAME, text), State.CREATED)
    assert process.options.labels == {"schedule": NAME, "scheduled": text}
    assert store.inputs(made.pid) == b"inputs"
    row = row_of(store)
    assert (row.next_at, row.last_at, row.last_pid) == (moment + 10, moment, made.pid)
    assert (row.state.moment, row.state.live) == (moment + 10, (made.pid,))
    assert whats(store) == ["added", "fired"]
    assert store.due_schedules(moment + 9) == []


def test_large_inputs_are_those_of_the_process(store: Store) -> None:
    inputs = encode_each({"x": "argon" * 400_000, "y": [b"z" * 300_000] * 2}, "inputs")
    record = Schedule("tests.things:Thing", every=10.0, start=100.0)
    store.put_schedule(NAME, record, bytes(inputs), moment=100.0, next_at=100.0, author="ada").result()
    (made,) = fire(store, 100.0).made
    (claim,) = store.claim([made.pid], "w").result()
    assert claim.inputs == inputs == store.inputs(made.pid) == store.schedule_inputs(NAME)


def test_whoever_comes_second_makes_nothing(stores: tuple[Store, Store]) -> None:
    first, second = stores
    put(first)
    seen = second.schedule(NAME)
    assert len(fire(first, 100.0).made) == 1
    assert fire(second, 100.0, seen=seen) == Fired()
    put(first, "other", overlap=Overlap.ALLOW)
    row = first.schedule("other")

    def one(number: int) -> int:
        store = stores[number % 2]
        firing = Firing(
            "other", [Due(100.0, "a")], store.allocate_pids(2), seen=row, moment=110.0, next_at=110.0
        )
        return len(store.fire(firing).result().made)

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(one, range(48))) == 1
    assert len(first.select(Selection())) == 2


def test_a_moment_makes_no_second_process_whatever_the_schedule_says(store: Store) -> None:
    """The clock was set back, the schedule was removed and added again."""
    put(store)
    (made,) = fire(store, 100.0).made
    again = fire(store, 100.0)
    assert (again.made, again.known) == ([], [made.pid])
    store.remove_schedule(NAME).result()
    put(store)
    assert fire(store, 100.0).known == [made.pid]
    assert len(store.select(Selection())) == 1
    assert [row.name for row in store.due_schedules(99.0)] == [NAME]  # it has fired before its time


def test_what_was_planned_at_a_time_that_has_not_come_is_found(store: Store) -> None:
    """The clock was set back since, or in that very moment. (The simulation: seeds 5849 and 9307.)"""

    def found() -> list[str]:
        return [row.name for row in store.due_schedules(LATER - 1)]

    put(store, next_at=2 * LATER)
    assert found() == []
    fire(store, 2 * LATER, planned=LATER)
    assert found() == [NAME]
    fire(store, 2 * LATER, planned=LATER - 2)
    assert found() == []
    for paused in (True, False):
        store.hold_schedule(
            NAME, paused=paused, moment=3 * LATER, next_at=3 * LATER, author="ada", planned=LATER
        ).result()
    assert found() == [NAME]


def test_skipped_while_one_lives(store: Store) -> None:
    put(store)
    (made,) = fire(store, 100.0).made
    assert fire(store, 110.0).made == []
    assert whats(store)[-1] == "skipped"
    assert row_of(store).state.lines[-1].text == f"{made.pid} has not ended"
    end(store, made.pid)
    assert len(fire(store, 120.0).made) == 1


def test_queued_ones_begin_one_after_the_other(store: Store) -> None:
    put(store, overlap=Overlap.QUEUE)
    fired = fire(store, 100.0, 110.0, 120.0)
    assert ([one.pid for one in fired.made], fired.queued) == ([row_of(store).last_pid], 2)
    assert [row.name for row in store.due_schedules(121.0)] == [NAME]
    assert fire(store, seen=None).made == []
    for moment in ("at 110", "at 120"):
        end(store, row_of(store).last_pid or 0)
        (made,) = fire(store).made
        process = store.get(made.pid)
        assert process is not None
        assert process.options.labels["scheduled"] == moment
    assert row_of(store).state.queued == ()


def test_late_ones_take_turns_whatever_the_policy(store: Store) -> None:
    put(store, overlap=Overlap.SKIP)
    fired = fire(store, 100.0, 110.0, late=True)
    assert (len(fired.made), fired.queued) == (1, 1)


def test_replaced_ones_are_killed(store: Store) -> None:
    put(store, overlap=Overlap.REPLACE)
    (first,) = fire(store, 100.0).made
    (claim,) = store.claim([first.pid], "w").result()
    fired = fire(store, 110.0)
    assert [(one.pid, one.owner, one.applied) for one in fired.replaced] == [(first.pid, "w", False)]
    (second,) = fired.made
    finish(store, claim)  # a kill that was accepted holds
    ended = store.get(first.pid)
    assert ended is not None
    assert (ended.state, ended.exit_message) == (
        State.KILLED,
        "replaced by the next firing of schedule nightly",
    )
    (third,) = fire(store, 120.0).made
    killed = store.get(second.pid)
    assert killed is not None
    assert killed.state is State.KILLED
    assert row_of(store).state.live == (third.pid,)


def test_the_limit_of_one_that_was_replaced_is_given_on_and_told(store: Store) -> None:
    put(store, overlap=Overlap.REPLACE, options=ProcessOptions(limits=("licence",)))
    store.set_limit("licence", slots=1).result()
    (first,) = fire(store, 100.0).made
    fired = fire(store, 110.0)
    assert [one.pid for one in fired.granted] == [one.pid for one in fired.made]
    assert fired.made[0].pid != first.pid
    assert store.set_limit("licence", slots=0).result() == []
    (third,) = fire(store, 120.0).made
    assert not store.claim([third.pid], "w").result()


def test_allowed_ones_run_side_by_side(store: Store) -> None:
    put(store, overlap=Overlap.ALLOW)
    assert len(fire(store, 100.0, 110.0).made) == 2
    assert len(fire(store, 120.0).made) == 1
    assert len(row_of(store).state.live) == 3


def test_by_hand_it_fires_whatever_lives_and_its_next_time_stays(store: Store) -> None:
    put(store)
    fire(store, 100.0)
    by_hand: dict[str, Any] = {"seen": None, "what": "triggered", "overlap": Overlap.ALLOW, "author": "ada"}
    assert len(fire(store, 105.0, **by_hand).made) == 1
    row = row_of(store)
    assert (row.next_at, row.last_at) == (110.0, 100.0)
    assert (row.state.lines[-1].what, row.state.lines[-1].author) == ("triggered", "ada")
    with pytest.raises(UnknownSchedule, match="no schedule 'weekly'"):
        store.fire(Firing("weekly", [], store.allocate_pids(1))).result()


def test_paused_it_is_never_due_and_nothing_takes_its_turn(store: Store) -> None:
    put(store, overlap=Overlap.QUEUE)
    fire(store, 100.0, 110.0)
    seen = row_of(store)
    paused = store.hold_schedule(NAME, paused=True, moment=None, next_at=None, author="ada").result()
    assert (paused.paused, paused.next_at) == (True, None)
    assert store.due_schedules(1e9) == []
    assert fire(store, 120.0, seen=seen) == Fired()
    end(store, seen.last_pid or 0)
    assert fire(store, seen=None).made == []
    played = store.hold_schedule(NAME, paused=False, moment=200.0, next_at=200.0, author="ada").result()
    assert (played.paused, played.next_at) == (False, 200.0)
    assert len(fire(store, next_at=200.0, moment=200.0).made) == 1


def test_added_replaced_removed(store: Store) -> None:
    row = put(store)
    assert row == store.schedule(NAME)
    with pytest.raises(ScheduleTaken, match="--replace"):
        put(store)
    fire(store, 100.0)
    other = replace_with(store, Schedule("tests.things:Other", cron="0 2 * * *"))
    assert other.last_pid is not None
    assert [line.what for line in other.state.lines] == ["added", "fired", "replaced"]
    assert store.schedules() == [other]
    store.remove_schedule(NAME).result()
    with pytest.raises(UnknownSchedule):
        store.remove_schedule(NAME).result()
    assert store.schedule(NAME) is None


def replace_with(store: Store, schedule: Schedule) -> ScheduleRow:
    return store.put_schedule(
        NAME, schedule, b"others", moment=200.0, next_at=200.0, author="ada", replaces=True
    ).result()


def test_a_schedule_that_was_changed_meanwhile_does_not_fire(store: Store) -> None:
    seen = put(store)
    other = replace_with(store, replace_class(seen.schedule))
    assert fire(store, 100.0, seen=seen) == Fired()
    assert fire(store, 100.0, seen=replace(other, paused=True)) == Fired()
    assert store.select(Selection()) == []


def replace_class(schedule: Schedule) -> Schedule:
    return Schedule("tests.things:Other", every=schedule.every, start=schedule.start)


def test_a_copy_has_them_and_the_original_fires_no_more(store: Store, tmp_path: Any) -> None:
    put(store)
    target = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    store.copy_to(target, alive=10.0, author="ada").result()
    assert row_of(store).paused
    with Store(target) as copy:
        assert [row.name for row in copy.due_schedules(100.0)] == [NAME]


def test_one_that_cannot_be_read_keeps_none_of_the_others_from_firing(store: Store, store_url: str) -> None:
    put(store)
    harms = ["body = '{'", "body = '[1]'", "state = 'null'", "body = '{}'"]
    if store_url.startswith("sqlite"):  # the other one keeps to the types of its columns
        harms += ["body = 7", "next_at = 'soon'", "last_pid = 'x'", "created = x'00'", "state = 5"]
    names = [f"odd {number}" for number in range(len(harms))]
    for name in names:
        put(store, name)
    database = database_of(store_url)
    with database.engine().connect() as connection:
        for name, harm in zip(names, harms, strict=True):
            connection.execute(text(f"UPDATE schedules SET {harm} WHERE name = :name"), {"name": name})
        if connection.in_transaction():
            connection.commit()
    database.dispose()
    assert (
        [row.name for row in store.schedules()] == [row.name for row in store.due_schedules(100.0)] == [NAME]
    )
    damaged = store.damaged_schedules()
    assert [one.name for one in damaged] == names
    assert all(one.reason for one in damaged)
    assert fire(store, 100.0).made
    first, second, *_ = names
    for ask in (
        lambda: store.schedule(first),
        lambda: put(store, first),
        lambda: store.fire(Firing(first, [], store.allocate_pids(1))).result(),
        lambda: store.hold_schedule(first, paused=True, moment=None, next_at=None, author="ada").result(),
    ):
        with pytest.raises(ScheduleUnreadable, match=f"{first}.*--replace.*schedule rm"):
            ask()
    replaced = store.put_schedule(
        first, row_of(store).schedule, b"", moment=100.0, next_at=100.0, author="ada", replaces=True
    ).result()
    assert store.schedule(first) == replaced
    store.remove_schedule(second).result()
    assert [one.name for one in store.damaged_schedules()] == names[2:]


def test_large_inputs_are_stored_once_however_often_it_fires(store: Store, store_url: str) -> None:
    inputs = encode_each({"array": os.urandom(1_000_000)})
    schedule = Schedule(
        "tests.things:Thing", every=10.0, start=100.0, overlap=Overlap.ALLOW, cuts=tuple(cuts_of(inputs))
    )
    store.put_schedule(NAME, schedule, bytes(inputs), moment=100.0, next_at=100.0, author="ada").result()
    made = [*fire(store, 100.0, 110.0).made, *fire(store, 120.0).made]
    assert [store.inputs(one.pid) for one in made] == [inputs] * 3
    database = database_of(store_url)
    with database.engine().connect() as connection:
        assert connection.execute(select(func.count()).select_from(contents)).scalar_one() == 1
        sizes = connection.execute(text("SELECT sum(length(blob)) FROM inputs")).scalar_one()
    database.dispose()
    assert sizes < 1_000


def test_what_one_has_computed_serves_the_next_if_that_is_wanted(store: Store) -> None:
    put(store, asked_for="the same", overlap=Overlap.SKIP)
    first = fire(store, 100.0, revision="abc").made[0].pid
    (claim,) = store.claim([first], "w").result()
    step(store, claim, State.FINISHED, outputs=b"outputs", exit_status=0, revision="abc")
    served = [one.pid for one in fire(store, 110.0, 120.0, revision="abc").made]
    rows = [row for pid in served if (row := store.get(pid)) is not None]
    assert [(row.state, row.options.cached_from) for row in rows] == [(State.FINISHED, first)] * 2
    assert row_of(store).state.live == ()
    for others in (fire(store, 130.0, revision="other code"), fire(store, 140.0, overlap=Overlap.ALLOW)):
        (other,) = others.made
        row = store.get(other.pid)
        assert row is not None
        assert row.state is State.CREATED
