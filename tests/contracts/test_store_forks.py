"""A store that was open when its program forked: the child begins anew, and the parent notices nothing."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quince_persistence.errors import PersistenceError
from quince_persistence.records import Selection
from quince_persistence.store import Store
from tests.children import Child, in_child
from tests.contracts.store_backends import born, held, store, store_url

__all__ = ["store", "store_url"]


def read(store: Store, pids: list[int]) -> list[int]:
    return sorted(row.pid for row in store.select(Selection(pids=pids)))


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """Somebody writes, and somebody reads, all the time."""
    over = threading.Event()
    pids = list(born(store, 3))

    def write() -> None:
        while not over.is_set():
            store.heartbeat("nobody").exception()
            born(store)

    def look() -> None:
        while not over.is_set():
            assert read(store, pids) == pids

    threads = [threading.Thread(target=work) for work in (write, write, look, look)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_child_reads_and_writes_by_itself(store: Store) -> None:
    mine = list(born(store, 2))
    theirs = in_child(lambda: [read(store, mine), list(born(store, 2))])
    assert theirs[0] == mine
    assert read(store, mine + theirs[1]) == mine + theirs[1]
    assert read(store, list(born(store, 2)))


def test_no_two_programs_allocate_the_same_pids(store: Store) -> None:
    for _ in range(4):
        store.allocate_pids(3)  # the block is larger than what was used of it
    children = [Child(lambda: list(store.allocate_pids(20))) for _ in range(3)]
    given = [list(store.allocate_pids(20)), *(child.answer() for child in children)]
    assert len({pid for pids in given for pid in pids}) == 80


def test_side_by_side_nobody_reads_what_another_has_asked(store: Store) -> None:
    pids = list(born(store, 8))

    def look(pid: int) -> bool:
        return all(row is not None and row.pid == pid for row in (store.get(pid) for _ in range(100)))

    children = [Child(lambda pid=pid: look(pid)) for pid in pids[:4]]  # type: ignore[misc]
    assert all(look(pid) for pid in pids[4:])
    assert all(child.answer() for child in children)


def test_a_fork_while_others_are_at_work(store: Store) -> None:
    """No lock of a thread that the child does not have keeps it from going on."""
    with busy(store):
        for _ in range(10):
            (pid,) = in_child(lambda: list(born(store)))
            assert read(store, [pid]) == [pid]


def test_a_fork_of_a_fork(store: Store) -> None:
    def child() -> list[int]:
        own = list(born(store))
        return own + list(in_child(lambda: list(born(store)))) + list(born(store))

    pids = child() + list(in_child(child))
    assert read(store, pids) == sorted(set(pids))
    assert len(set(pids)) == 6


def test_what_waits_in_the_parent_is_written_once(store: Store) -> None:
    (claim,) = held(store, "a")
    gate = threading.Event()

    def late(call: Callable[[], None]) -> None:
        gate.wait(10)
        call()

    store.on_batch = late
    waiting = [store.record_once(claim.row.pid, "a", claim.row.epoch, f"k{n}", b"r") for n in range(50)]
    count = in_child(lambda: len(store.select(Selection(pids=[claim.row.pid]))))
    gate.set()
    assert count == 1
    assert all(future.result(10) for future in waiting)


def test_closing_in_the_child_leaves_the_parent_alone(store: Store) -> None:
    def child() -> bool:
        store.close()
        try:
            store.get(1)
        except PersistenceError:
            return True
        return False

    assert in_child(child)
    assert read(store, list(born(store)))


@pytest.mark.timeout(60)
def test_the_write_ahead_log_lives_as_long_as_a_child_writes(tmp_path: Path) -> None:
    """Also when the parent ends first, as that of a web server that loads an application before it forks: a
    child that thought it had its parent's locks would write into a log that others have removed."""
    file = tmp_path / "x.db"
    out, into = os.pipe()
    store = Store(f"sqlite:///{file}")
    store.open()
    born(store)

    def child() -> int:
        born(store)
        os.read(out, 1)
        return len(born(store, 5))

    waiting = Child(child)
    store.close()
    with closing(sqlite3.connect(file)) as another:
        another.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.write(into, b"x")
    assert waiting.answer() == 5
    os.close(out)
    os.close(into)
    with Store(f"sqlite:///{file}") as another_store:
        assert len(another_store.select(Selection())) == 7
