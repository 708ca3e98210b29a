"""Turns between programs that write to one SQLite file (two of them stand for two programs)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quince_persistence.databases import write_turns
from quince_persistence.databases.write_turns import WriteTurns
from quince_persistence.errors import StoreBusy, StoreUnavailable


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[WriteTurns, WriteTurns]]:
    one, two = WriteTurns(tmp_path / "db"), WriteTurns(tmp_path / "db")
    yield one, two
    one.close()
    two.close()


def _waits_inside(path: Path) -> bool:
    """Whether somebody waits in the queue."""
    probe = WriteTurns(path)
    probe._open()
    try:
        return not write_turns._lock(probe._queue, 0.0)
    finally:
        probe.close()


def test_one_turn_at_a_time(pair: tuple[WriteTurns, WriteTurns]) -> None:
    inside: list[int] = []
    worst: list[int] = []

    def write(mine: WriteTurns) -> None:
        for _ in range(100):
            with mine.turn():
                inside.append(1)
                worst.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=write, args=(one,)) for one in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst) == 1
    assert len(worst) == 200


def test_who_has_just_written_stands_behind_who_waits(
    pair: tuple[WriteTurns, WriteTurns], tmp_path: Path
) -> None:
    busy, patient = pair
    order: list[str] = []

    def wait() -> None:
        with patient.turn():
            order.append("patient")

    with busy.turn():
        waiter = threading.Thread(target=wait)
        waiter.start()
        while not _waits_inside(tmp_path / "db"):
            time.sleep(0.0001)
    with busy.turn():
        order.append("busy")
    waiter.join()
    assert order == ["patient", "busy"]


def test_nobody_goes_without_the_turn(pair: tuple[WriteTurns, WriteTurns]) -> None:
    frozen, other = pair
    with frozen.turn(), pytest.raises(StoreBusy, match="nothing was written"), other.turn(0.05):
        pytest.fail("two at once")
    with other.turn(0.05):
        pass


def test_who_is_frozen_in_the_queue_is_walked_around(
    pair: tuple[WriteTurns, WriteTurns], monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, other = pair
    monkeypatch.setattr(write_turns, "QUEUE_SECONDS", 0.05)
    frozen._open()
    assert write_turns._lock(frozen._queue, 0.0)
    begun = time.monotonic()
    with other.turn():
        assert time.monotonic() - begun >= 0.05
    again = time.monotonic()
    with other.turn():  # and not again and again
        assert time.monotonic() - again < 0.05


def test_threads_of_one_program_take_turns_too(tmp_path: Path) -> None:
    mine = WriteTurns(tmp_path / "db")
    with mine.turn(), mine.turn(), ThreadPoolExecutor(1) as pool:

        def write() -> None:
            with mine.turn(0.05):
                pytest.fail("two at once")

        with pytest.raises(StoreBusy):
            pool.submit(write).result()
    mine.close()


def test_a_forked_child_holds_no_turn_of_its_dead_parent(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from quince_persistence.databases.write_turns import WriteTurns\n"
        "with WriteTurns(pathlib.Path(sys.argv[1])).turn():\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "    print('inside', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdin is not None
    assert program.stdout.readline() == b"inside\n"
    program.wait()
    mine = WriteTurns(tmp_path / "db")
    with mine.turn(0.5):
        pass
    mine.close()
    program.stdin.close()
    program.stdout.close()


def test_the_turn_of_a_dead_program_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, os, pathlib\n"
        "from quince_persistence.databases.write_turns import WriteTurns\n"
        "with WriteTurns(pathlib.Path(sys.argv[1])).turn():\n"
        "    print('inside', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stdin is not None
    assert program.stdout.readline() == b"inside\n"
    program.kill()
    program.wait()
    program.stdout.close()
    program.stdin.close()
    mine = WriteTurns(tmp_path / "db")
    with mine.turn(0.5):
        pass
    mine.close()


def test_where_no_lock_can_be_made_nothing_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreUnavailable, match="cannot be opened"),
        WriteTurns(tmp_path / "missing" / "db").turn(),
    ):
        pytest.fail("without a lock")
