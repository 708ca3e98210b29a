"""One row that cannot be read keeps nobody from the others; on every kind of store."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from quince_persistence.databases.opening import database_of
from quince_persistence.records import Control, ProcessOptions, Selection, State
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import born, store, store_url

__all__ = ["store", "store_url"]

EVERYWHERE = [
    "options = '{'",
    "options = '[1]'",
    "signals = '{'",
    "progress = '[]'",
    "state = 'odd'",
    "intent = 'odd'",
]
WITHOUT_TYPES = ["options = 7", "epoch = 'x'", "awaiting = 'x'", "priority = 'x'"]


def harm(url: str, *statements: str) -> None:
    database = database_of(url)
    with database.engine().connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
        if connection.in_transaction():
            connection.commit()
    database.dispose()


@pytest.mark.parametrize("damage", EVERYWHERE + WITHOUT_TYPES)
def test_a_process_whose_row_is_damaged_harms_no_other(store: Store, store_url: str, damage: str) -> None:
    if damage in WITHOUT_TYPES and not store_url.startswith("sqlite"):
        return  # PostgreSQL keeps to the types of its columns
    pids = born(store, 3)
    bad = pids[1]
    harm(store_url, f"UPDATE processes SET {damage} WHERE pid = {bad}")
    rows = {row.pid: row for row in store.select(Selection())}
    assert sorted(rows) == sorted(pids)
    store.sweep(expiry=10.0, stale=0.0).result()
    claimed = [claim.row.pid for claim in store.claim(pids, "w", queues=["default"]).result()]
    assert sorted(claimed) == sorted({*pids} - {bad})
    (told,) = [line for line in store.damage() if line.startswith("the row of process")]
    assert told.startswith(f"the row of process {bad} cannot be read, so it does not run: ")
    if damage in EVERYWHERE:
        assert "its row in the store is damaged" in str(rows[bad].status)
    if "state" not in damage and damage not in WITHOUT_TYPES:
        (outcome,) = store.control(Control.KILL, Selection(pids=[bad]), author="me").result()
        assert outcome.refused is None
        assert store.get(bad).state is State.KILLED  # type: ignore[union-attr]


def test_a_worker_and_a_line_of_history_that_cannot_be_read(store: Store, store_url: str) -> None:
    now = time.time()
    for name in ("good", "bad"):
        row = WorkerRow(name, "host", 1, name, ("default",), 1, None, "running", now, now)
        store.register_worker(row).result()
    (pid,) = born(store)
    store.control(Control.PAUSE, Selection(pids=[pid]), author="me").result()
    store.control(Control.PLAY, Selection(pids=[pid]), author="me").result()
    first = store.events(pid)[0]
    harm(
        store_url,
        "UPDATE workers SET queues = '{', troubles = '7' WHERE id = 'bad'",
        f"UPDATE events SET body = '{{' WHERE seq = {first.seq}",
    )
    workers = {worker.name: worker for worker in store.workers()}
    assert workers["good"].queues == ("default",)
    assert (workers["bad"].queues, len(workers["bad"].troubles)) == ((), 1)
    store.sweep(expiry=10.0, stale=0.0).result()
    lines = store.events(pid)
    assert "damaged" in str(lines[0].body)
    assert len(lines) > 1


@pytest.mark.parametrize("damage", ["per = NULL", "per = 0", "rate = -1", "slots = -1", "stamp = 'x'"])
def test_a_limit_whose_row_is_damaged_harms_no_other(store: Store, store_url: str, damage: str) -> None:
    if "'" in damage and not store_url.startswith("sqlite"):
        return
    for name in ("bad", "good"):
        store.set_limit(name, slots=2, rate=1, per=60.0).result()
    harm(store_url, f"UPDATE limits SET {damage} WHERE name = 'bad'")
    (kept,) = born(store, options=ProcessOptions(limits=("bad",)))
    (free,) = born(store, options=ProcessOptions(limits=("good",)))
    store.sweep(expiry=10.0, stale=0.0).result()
    assert [row.pid for row in store.limit_users("good", held=True)] == [free]
    bad, good = store.limits()
    assert (bad.held, bad.waiting, good.held, good.damage) == (0, 1, 1, None)
    assert damage.split()[0] in str(bad.damage)
    (told,) = store.damage()
    assert told.startswith("limit bad cannot be read, so nobody is given it: ")
    (woken,) = store.set_limit("bad", slots=1).result()
    assert (woken.pid, store.limits()[0].damage) == (kept, None)
