"""Notices, on every kind of store: written with what they are about, taken once, kept until sent."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from sqlalchemy import text

from quince_persistence.databases.opening import database_of
from quince_persistence.records import Control, ProcessOptions, Selection, State
from quince_persistence.records.notices import Happening, NoticeRow, Sent
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

ALL = {"ops": list(Happening)}
LABELLED = ProcessOptions(labels={"study": "ä"})


def want(store: Store, wanted: Any = None, *, keep: float = 1000.0, most: int = 1000) -> None:
    store.want_notices(ALL if wanted is None else wanted, keep=keep, most=most).result()


def take(store: Store, owner: str = "w", of: str = "ops", hold: float = 60.0) -> list[NoticeRow]:
    return list(store.take_notices([of], owner, most=1000, hold=hold).result())


def told(store: Store) -> list[tuple[str, int]]:
    return [(one.event.value, one.body["pid"]) for one in take(store)]


def test_what_has_happened_is_told_as_it_was_then(store: Store) -> None:
    want(store)
    bad, killed, well = held(store, "w", 3)
    (labelled,) = held(store, "w", options=LABELLED)
    step(store, bad, State.EXCEPTED, exit_message="Boom: ä")
    store.control(
        Control.KILL, Selection(pids=[killed.row.pid]), author="me", reason="r", force=True
    ).result()
    finish(store, well)
    finish(store, labelled)
    store.retry(Selection(pids=[bad.row.pid]), author="me").result()  # it was told by then
    notices = take(store)
    assert [(one.event, one.body["pid"], one.body["state"]) for one in notices] == [
        (Happening.FAILED, bad.row.pid, "excepted"),
        (Happening.FAILED, killed.row.pid, "killed"),
        (Happening.ENDED, labelled.row.pid, "finished"),
    ]
    assert notices[0].body["exit_message"] == "Boom: ä"
    assert (notices[1].body["status"], notices[2].body["labels"]) == ("r", {"study": "ä"})
    assert len({one.id for one in notices}) == 3


def test_a_pause_for_a_person_and_a_wait_for_a_signal_are_told(store: Store) -> None:
    want(store)
    failing, asking, there, persons = [held(store, "w")[0] for _ in range(4)]
    step(store, failing, State.RUNNING, paused=True, reason="held: its step failed")
    step(store, asking, State.WAITING, signals=["approval"], checkpoint=b"c")
    step(store, there, State.WAITING, awaits=[asking.row.pid], checkpoint=b"c")
    held_back = Selection(pids=[there.row.pid])
    store.control(Control.PAUSE, held_back, author="quince", reason="held: no class").result()
    store.control(Control.PAUSE, Selection(pids=[persons.row.pid]), author="me", reason="lunch").result()
    notices = take(store)
    assert [(one.event.value, one.body["pid"]) for one in notices] == [
        ("paused", failing.row.pid),
        ("waiting", asking.row.pid),
        ("paused", there.row.pid),
    ]
    assert (notices[1].body["signals"], notices[2].body["status"]) == (["approval"], "held: no class")


def test_nobody_is_told_who_does_not_want_it(store: Store) -> None:
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    want(store, {"a": [Happening.PAUSED], "b": [Happening.FAILED]})
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    assert [one.receiver for one in store.take_notices(["a", "b"], "w", most=9, hold=9).result()] == ["b"]
    want(store, {"b": [Happening.PAUSED]})
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    assert [(row.name, list(row.events), row.pending) for row in store.receivers()] == [
        ("a", [Happening.PAUSED], 0),
        ("b", [Happening.PAUSED], 1),
    ]


def test_each_is_taken_by_one_and_by_another_when_that_one_has_died(stores: tuple[Store, Store]) -> None:
    one, other = stores
    want(one)
    for claim in held(one, "w", 50):
        step(one, claim, State.EXCEPTED)
    assert one.notices_due(["ops"])
    futures = [store.take_notices(["ops"], f"w{n}", most=30, hold=60) for n, store in enumerate(stores)]
    first, second = [list(future.result()) for future in futures]
    assert not {row.id for row in first} & {row.id for row in second}
    first += one.take_notices(["ops"], "w0", most=30, hold=60).result()  # those that were passed over
    assert len({row.id for row in [*first, *second]}) == 50
    assert not other.take_notices(["ops"], "w2", most=50, hold=60).result()
    one.settle_notices([Sent(row.id, "ops") for row in first], "w0").result()
    assert one.receivers()[0].pending == 50 - len(first)


def test_who_was_too_slow_changes_nothing_of_what_another_one_has(store: Store) -> None:
    want(store)
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    (slow,) = take(store, "slow", hold=0.0)
    (again,) = take(store, "quick")
    assert (again.id, slow.tries, again.tries) == (slow.id, 1, 2)
    store.settle_notices([Sent(slow.id, "ops")], "slow").result()
    assert store.receivers()[0].pending == 1
    store.settle_notices([Sent(again.id, "ops", "no route", 50.0)], "quick").result()
    (row,) = store.receivers()
    assert (row.pending, row.error) == (1, "no route")
    assert not store.notices_due(["ops"])
    assert take(store) == []


def test_what_cannot_be_sent_does_not_grow_without_end(store: Store) -> None:
    want(store)
    for claim in held(store, "w", 30):
        step(store, claim, State.EXCEPTED)
    want(store, most=10)
    assert store.receivers()[0].pending == 10
    time.sleep(0.02)
    want(store, keep=0.01)
    assert store.receivers()[0].pending == 0


def test_a_great_many_at_once_are_counted(store: Store) -> None:
    want(store)
    pids = born(store, 450)
    store.control(Control.KILL, Selection(pids=pids), author="me").result()
    notices = take(store)
    assert len(notices) == 200
    assert [one.body["more"] for one in notices if "more" in one.body] == [250]


def test_the_death_of_a_worker_is_told_once(store: Store) -> None:
    want(store)
    row = WorkerRow("h:1:a", "h", 1, "worker-1", (), 1, None, "running", 0.0, 0.0, metrics="h:9464")
    store.register_worker(row).result()
    assert store.workers()[0].metrics == "h:9464"
    held(store, row.id, 3)
    for _ in range(2):
        store.release_worker(row.id).result()
    (notice,) = take(store)
    assert notice.event is Happening.TROUBLE
    assert notice.body["text"] == "worker worker-1 on h has died; 3 processes that it held go on elsewhere"
    store.register_worker(dataclasses.replace(row, id="h:2:b")).result()
    store.release_worker("h:2:b", silent=True).result()
    (notice,) = take(store)
    assert str(notice.body["text"]).startswith("worker worker-1 on h was not heard of any more (frozen,")
    store.add_notice("x", Happening.TROUBLE, {"text": "full"}).result()
    store.add_notice("x", Happening.TROUBLE, {"text": "full"}).result()
    assert [one.body for one in take(store)] == [{"text": "full"}]


def test_receivers_that_nobody_names_any_more_are_forgotten(store: Store, store_url: str) -> None:
    want(store)
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    database = database_of(store_url)
    with database.engine().begin() as connection:
        connection.execute(text("UPDATE receivers SET seen = seen - 100000"))
    database.dispose()
    want(store, {"other": [Happening.FAILED]})
    assert [row.name for row in store.receivers()] == ["other"]
    want(store, {})
    assert [row.name for row in store.receivers()] == ["other"]


def test_those_of_pruned_processes_are_still_sent(store: Store) -> None:
    want(store)
    (claim,) = held(store, "w")
    step(store, claim, State.EXCEPTED)
    now = store.clock() + 10
    assert store.prune([claim.row.pid], before=now, failed_before=now).result().pids == [claim.row.pid]
    assert told(store) == [("failed", claim.row.pid)]
