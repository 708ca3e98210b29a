"""Making the log durable: who syncs, who need not, and what a failed disk leaves behind."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quince_messaging.transports.local import wal as log_module
from quince_messaging.transports.local.file_lock import FileLock
from quince_messaging.transports.local.task_db import TaskDb
from quince_messaging.transports.local.wal import GROWN_OFTEN, LONGEST_LOG, WriteAheadLog


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TaskDb]:
    file = TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate")
    file.open()
    yield file
    file.close()


class Disk:
    """Counts syncs, and may hold them up or fail."""

    def __init__(self) -> None:
        self.syncs = 0
        self.fails = False
        self.begun = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, descriptor: int) -> None:
        self.syncs += 1
        self.begun.set()
        assert self.goes_on.wait(10)
        if self.fails:
            raise OSError(5, "the disk failed")
        os.fsync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(log_module, "_sync", disk)
    return disk


def in_thread(log: WriteAheadLog, mark: int, errors: list[OSError]) -> threading.Thread:
    def sync() -> None:
        try:
            log.sync(mark)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=sync)
    thread.start()
    return thread


def test_those_who_come_during_a_sync_share_the_next_one(file: TaskDb, disk: Disk) -> None:
    disk.goes_on.clear()
    errors: list[OSError] = []
    threads = [in_thread(file.log, file.log.mark(), errors)]
    assert disk.begun.wait(10)
    threads += [in_thread(file.log, file.log.mark(), errors) for _ in range(5)]
    disk.goes_on.set()
    for thread in threads:
        thread.join(10)
    assert disk.syncs == 2
    assert not errors


def test_a_mark_is_served_by_any_later_sync_and_by_closing(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "log").touch()
    log = WriteAheadLog(tmp_path / "log", tmp_path / "gate")
    early = log.mark()
    log.sync(log.mark())
    log.sync(early)
    assert disk.syncs == 1
    last = log.mark()
    log.close()
    assert disk.syncs == 2
    log.sync(last)
    assert disk.syncs == 2


def test_whoever_was_before_a_failed_sync_is_told_even_if_the_next_succeeds(file: TaskDb, disk: Disk) -> None:
    early = file.log.mark()
    disk.fails = True
    with pytest.raises(OSError, match="the disk failed"):
        file.log.sync(file.log.mark())
    disk.fails = False
    late = file.log.mark()
    file.log.sync(late)
    with pytest.raises(OSError, match="the disk failed"):
        file.log.sync(early)


def insert_and_sync(file: TaskDb, count: int) -> None:
    for number in range(count):
        file.insert([("q", 0, b"%d" % number)])
        file.log.sync(file.log.mark())


def test_a_log_that_grows_often_is_lengthened_ahead_and_read_to_its_last_commit(
    file: TaskDb, tmp_path: Path
) -> None:
    insert_and_sync(file, GROWN_OFTEN)
    path = tmp_path / "tasks.sqlite-wal"
    lengths = set()
    for _ in range(20):
        insert_and_sync(file, 1)
        lengths.add(path.stat().st_size)
    assert len(lengths) == 1
    for suffix in ("", "-wal"):  # as a power cut leaves them
        (tmp_path / f"after{suffix}").write_bytes((tmp_path / f"tasks.sqlite{suffix}").read_bytes())
    after = sqlite3.connect(tmp_path / "after")
    assert after.execute("SELECT count(*) FROM tasks").fetchone() == (GROWN_OFTEN + 20,)
    after.close()


def test_it_is_not_lengthened_while_somebody_writes(file: TaskDb, tmp_path: Path) -> None:
    writer = FileLock(tmp_path / "tasks.gate")
    assert writer.try_shared()
    insert_and_sync(file, GROWN_OFTEN)
    used = (tmp_path / "tasks.sqlite-wal").stat().st_size
    insert_and_sync(file, 1)
    assert (tmp_path / "tasks.sqlite-wal").stat().st_size - used < 20_000
    writer.close()
    insert_and_sync(file, 1)
    assert (tmp_path / "tasks.sqlite-wal").stat().st_size - used > 100_000


def test_it_is_lengthened_to_a_limit(file: TaskDb, tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite-wal"
    with path.open("r+b") as log:
        log.truncate(LONGEST_LOG)  # a hole at the end will do
    file.log.sync(file.log.mark())
    for _ in range(2 * GROWN_OFTEN):
        with path.open("ab") as log:
            log.write(b"\0")
        file.log.sync(file.log.mark())
    assert path.stat().st_size == LONGEST_LOG + 2 * GROWN_OFTEN
