"""Group commit: groups, the one at fault in a group, a full disk, a locked database, closing."""

from __future__ import annotations

import fcntl
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event

from quince_persistence.errors import RecordRefused, StoreBusy, StoreClosed, StoreFull
from quince_persistence.records import NewEvent, NewProcess, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "quince.sqlite"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{file}", patience=0.5) as opened:
        yield opened


@pytest.fixture
def lock(file: Path, store: Store) -> Iterator[sqlite3.Connection]:
    """Another program that holds the database's lock for as long as it is in a transaction."""
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


def test_calls_that_wait_share_a_transaction_and_keep_their_order(
    store: Store, lock: sqlite3.Connection
) -> None:
    batches: list[Callable[[], None]] = []
    (claim,) = held(store, "w")
    store.on_batch = batches.append
    lock.execute("BEGIN IMMEDIATE")
    pid = claim.row.pid
    first = store.report(pid, [NewEvent("report", {"n": -1})])  # the group that waits for the lock
    later = [store.report(pid, [NewEvent("report", {"n": n})]) for n in range(50)]
    lock.execute("ROLLBACK")
    deadline = time.monotonic() + 10
    while len(batches) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(batches) in (1, 2)  # one hop for each commit
    assert not first.done()
    assert not any(future.done() for future in later)
    for resolve in batches:
        resolve()
    assert all(future.done() for future in [first, *later])
    store.on_batch = None
    numbers = [e.body["n"] for e in store.events(pid) if e.kind == "report"]
    assert numbers == list(range(-1, 50))


def test_pids_come_even_to_the_thread_that_resolves_batches(store: Store) -> None:
    inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    store.on_batch = inbox.put
    assert len(store.allocate_pids(5)) == 5  # this thread is the one that would have to resolve it


def test_a_closed_event_loop_does_not_swallow_answers(store: Store) -> None:
    def closed(_resolve: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    store.on_batch = closed
    assert len(born(store, 2)) == 2


@pytest.mark.parametrize("poison", [{"status": "\ud800"}, {"exit_status": 2**70}, {"exit_message": object()}])
def test_the_one_at_fault_fails_alone(
    store: Store, lock: sqlite3.Connection, poison: dict[str, object]
) -> None:
    claims = held(store, "w", 40)
    lock.execute("BEGIN IMMEDIATE")
    steps = [Step(claim.row.pid, "w", 1, State.FINISHED, outputs=b"x") for claim in claims]
    steps[17] = replace(steps[17], **poison)
    futures = [store.commit(one) for one in steps]
    lock.execute("ROLLBACK")
    with pytest.raises(RecordRefused, match="does not take"):
        futures[17].result()
    assert not any(future.result().fenced for n, future in enumerate(futures) if n != 17)
    kept = [store.results([one.pid])[0].outputs for one in steps]
    assert kept == [None if n == 17 else b"x" for n in range(40)]


def test_a_refused_insert_does_not_take_others_along(store: Store, lock: sqlite3.Connection) -> None:
    (taken,) = born(store)
    mine = new(store, 10)
    lock.execute("BEGIN IMMEDIATE")
    wrong = store.insert([mine[0], NewProcess(taken, "m:P", b"")])
    right = store.insert(mine[1:])
    lock.execute("ROLLBACK")
    with pytest.raises(RecordRefused):
        wrong.result()
    assert list(right.result()) == [one.pid for one in mine[1:]]
    assert store.get(mine[0].pid) is None


def test_a_cancelled_call_is_not_made(store: Store, lock: sqlite3.Connection) -> None:
    (pid,) = born(store)
    lock.execute("BEGIN IMMEDIATE")
    store.report(pid, [NewEvent("report", {"n": 1})])
    late = store.report(pid, [NewEvent("report", {"n": 2})])
    cancelled = late.cancel()
    lock.execute("ROLLBACK")
    store.report(pid, [NewEvent("report", {"n": 3})]).result()
    numbers = [e.body["n"] for e in store.events(pid)]
    assert numbers == ([1, 3] if cancelled else [1, 2, 3])


def test_a_locked_database_is_an_error_and_then_works_again(store: Store, lock: sqlite3.Connection) -> None:
    (claim,) = held(store, "w")
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked by another program"):
        finish(store, claim)
    assert store.get(claim.row.pid) == claim.row  # reading goes on
    lock.execute("ROLLBACK")
    assert not finish(store, claim).fenced


def test_a_foreign_lock_is_looked_for_at_the_file_that_is_locked(
    store: Store, lock: sqlite3.Connection, file: Path
) -> None:
    """Also by the program that waits for its turn behind the one that waits for the foreign lock."""
    with Store(f"sqlite:///{file}", patience=0.1) as other:
        (pid,) = born(store)
        lock.execute("BEGIN IMMEDIATE")
        first = store.report(pid, [])
        while not lock_is_held(f"{file}-turn"):
            time.sleep(0.001)
        for report in (other.report(pid, []), first):
            with pytest.raises(StoreBusy, match=f"`fuser {file}`"):
                report.result()


def lock_is_held(path: str) -> bool:
    with Path(path).open() as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_full_disk_writes_nothing_by_halves_and_then_works_again(file: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def remember(connection: sqlite3.Connection, _: object) -> None:
        opened.append(connection)

    event.listen(Engine, "connect", remember)
    try:
        with Store(f"sqlite:///{file}") as store:
            (claim,) = held(store, "w")
            writer = opened[-1]
            (pages,) = writer.execute("PRAGMA page_count").fetchone()
            writer.execute(f"PRAGMA max_page_count = {pages + 20}")  # SQLite's own full disk
            child = new(store)[0]
            with pytest.raises(StoreFull, match="full"):
                step(store, claim, State.RUNNING, children=[child], checkpoint=bytes(1_000_000))
            assert store.get(claim.row.pid) == claim.row
            assert store.get(child.pid) is None
            assert store.checkpoint(claim.row.pid) is None
            writer.execute("PRAGMA max_page_count = 1000000")
            step(store, claim, State.RUNNING, children=[child], checkpoint=bytes(1_000_000))
            assert store.get(child.pid) is not None
    finally:
        event.remove(Engine, "connect", remember)


def test_closing_commits_what_was_handed_in(file: Path) -> None:
    store = Store(f"sqlite:///{file}")
    store.open()
    (pid,) = born(store)
    futures = [store.report(pid, [NewEvent("report", {"n": n})]) for n in range(200)]
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(StoreClosed):
        store.report(pid, [])
    with Store(f"sqlite:///{file}") as again:
        assert len(again.events(pid)) == 200


def test_closing_while_others_call(file: Path) -> None:
    """Each call is either committed or raises StoreClosed; none hangs."""
    store = Store(f"sqlite:///{file}")
    store.open()
    (pid,) = born(store)
    started = threading.Barrier(9)

    def call(_: int) -> int:
        started.wait()
        for number in range(10_000):
            try:
                store.report(pid, [NewEvent("report", {})]).result(timeout=30)
            except StoreClosed:
                return number
        return 10_000

    with ThreadPoolExecutor(8) as pool:
        counts = pool.map(call, range(8))
        started.wait()
        store.close()
        done = sum(counts)
    with Store(f"sqlite:///{file}") as again:
        assert len(again.events(pid)) == done
        assert len(again.select(Selection())) == 1
