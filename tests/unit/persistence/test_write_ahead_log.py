"""SQLite's write-ahead log: copied into the database by one program at a time, and never large for long."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from quince_persistence.databases import sqlite as on_sqlite
from quince_persistence.migrations import upgrade
from quince_persistence.records import Control, NewProcess, Selection
from quince_persistence.store import Store

KB = 1000
LIMIT = 500 * KB


def _new(store: Store, count: int, size: int) -> None:
    pids = store.allocate_pids(count)
    blob = os.urandom(size)
    store.insert([NewProcess(pid=pid, class_path="m:C", inputs=blob) for pid in pids]).result()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(on_sqlite, "LOG_BYTES", LIMIT)
    monkeypatch.setattr(on_sqlite, "_AGAIN_SECONDS", 0.0)
    return tmp_path / "db"


def _log(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


WRITES = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "PRAGMA WAL_CHECKPOINT")


@pytest.fixture
def seen(path: Path) -> Iterator[dict[str, set[bool]]]:
    """For each statement that writes, or copies the log, whether somebody had the turn meanwhile."""
    found: dict[str, set[bool]] = {}

    def locked() -> bool:
        file = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def look(statement: str) -> None:
        kind = next((kind for kind in WRITES if statement.upper().startswith(kind)), None)
        if kind is not None:
            found.setdefault(kind, set()).add(locked())

    def trace(connection: Any, _record: Any) -> None:
        connection.set_trace_callback(look)

    event.listen(Engine, "connect", trace)
    yield found
    event.remove(Engine, "connect", trace)


def test_nothing_is_written_and_no_log_is_copied_without_the_turn(
    path: Path, seen: dict[str, set[bool]]
) -> None:
    url = f"sqlite:///{path}"
    with Store(url) as store:
        for _ in range(4):
            _new(store, 4, 100 * KB)
        for pid in store.allocate_pids(2):
            store.get(pid)
    upgrade(url)
    assert set(seen) >= {"BEGIN", "COMMIT", "CREATE", "INSERT", "UPDATE", "PRAGMA WAL_CHECKPOINT"}
    assert set.union(*seen.values()) == {True}


STRESS = """
import sys, time
from quince_persistence.records import NewProcess
from quince_persistence.store import Store
url, seconds = sys.argv[1], float(sys.argv[2])
until, count = time.monotonic() + seconds, 0
while time.monotonic() < until:
    with Store(url) as store:
        for _ in range(6):
            pids = store.allocate_pids(3)
            new = [NewProcess(pid=pid, class_path="m:C", inputs=b"x" * 20_000) for pid in pids]
            store.insert(new).result()
            count += 3
            store.counts()
print(count)
"""


def test_several_programs_write_copy_and_close_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    Store(url).open()
    programs = [
        subprocess.Popen([sys.executable, "-c", STRESS, url, "2"], stdout=subprocess.PIPE) for _ in range(4)
    ]
    written = [int(program.communicate(timeout=60)[0]) for program in programs]
    with Store(url) as store:
        assert sum(store.counts().values()) == sum(written)
        assert store.damage() == []


def test_the_log_stays_small_while_reads_overlap_without_a_pause(path: Path) -> None:
    stop = threading.Event()

    def read() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        while not stop.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM processes").fetchall()
            time.sleep(0.01)
            connection.execute("COMMIT")
        connection.close()

    with Store(f"sqlite:///{path}") as store:
        _new(store, 1, KB)
        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        largest = 0
        for _ in range(60):
            _new(store, 2, 100 * KB)
            largest = max(largest, _log(path))
        stop.set()
        for reader in readers:
            reader.join()
    assert largest < 6 * LIMIT, "12 MB were written"


def test_the_log_stays_small_while_very_much_is_pruned(path: Path) -> None:
    with Store(f"sqlite:///{path}") as store:
        for _ in range(10):
            _new(store, 40, 10 * KB)
        roots = [row.pid for row in store.select(Selection())]
        store.control(Control.KILL, Selection(live=True), author="me").result()
        largest = 0
        for begin in range(0, len(roots), 20):
            some = roots[begin : begin + 20]
            assert len(store.prune(some, before=5e9, failed_before=5e9).result().roots) == 20
            largest = max(largest, _log(path))
        assert largest < 4 * LIMIT
        before, after = store.vacuum()
        assert before > 4_000_000 > 1_000_000 > after
        assert _log(path) == 0


def _grown(store: Store, path: Path, write: Callable[[], None]) -> None:
    """Write beside a reader that stays, until the log is large."""
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM processes").fetchall()
    while _log(path) < 8 * LIMIT:
        write()
    reader.close()


def test_a_reader_that_stayed_leaves_a_log_that_becomes_small_again(path: Path) -> None:
    with Store(f"sqlite:///{path}") as store:
        _new(store, 1, KB)
        _grown(store, path, lambda: _new(store, 4, 100 * KB))
        _new(store, 1, KB)
        assert _log(path) <= 2 * LIMIT


def test_a_large_log_that_a_crash_has_left_becomes_small(path: Path) -> None:
    child = os.fork()
    if not child:
        store = Store(f"sqlite:///{path}")
        store.open()
        _new(store, 1, KB)
        _grown(store, path, lambda: _new(store, 4, 100 * KB))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    before = _log(path)
    with Store(f"sqlite:///{path}") as store:
        assert before >= 8 * LIMIT
        _new(store, 1, KB)
        assert _log(path) <= 2 * LIMIT
        assert store.damage() == []
