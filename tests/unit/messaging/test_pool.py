"""The threads of subscribers: as many as block, and none that has nothing to do."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from messaging.pool import Pool

SOON = 10.0


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-")]


async def test_threads_end_when_they_are_idle_and_come_back() -> None:
    pool = Pool("test-idle", idle=0.01)
    done: queue.Queue[Any] = queue.Queue()
    for turn in range(3):
        gate = threading.Event()
        for _ in range(20):
            pool.submit(gate.wait, SOON)
        pool.submit(done.put, turn)
        assert await asyncio.to_thread(done.get, timeout=SOON) == turn
        threads = _threads("test-idle")
        assert len(threads) > 2
        gate.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, SOON)
            assert not thread.is_alive()
    pool.close()


async def test_no_job_is_lost_to_a_thread_that_ends() -> None:
    pool = Pool("test-race", idle=0.0)  # every thread ends as soon as it can
    done: queue.Queue[int] = queue.Queue()
    for n in range(2_000):
        pool.submit(done.put, n)
        if n % 3 == 0:
            await asyncio.sleep(0)
    seen = {await asyncio.to_thread(done.get, timeout=SOON) for _ in range(2_000)}
    assert seen == set(range(2_000))
    pool.close()
    for thread in _threads("test-race"):
        await asyncio.to_thread(thread.join, SOON)
        assert not thread.is_alive()


async def test_many_threads_are_started_only_where_all_block() -> None:
    """Thousands of short jobs are done by a few; threads that compete for the interpreter are slower."""
    pool = Pool("test-few")
    pool._watching = True  # the looks are taken by hand here
    gate = threading.Event()
    for _ in range(50):
        pool.submit(gate.wait, SOON)
    await _until_left(pool, 48)
    pool._relieve(48, pool._begun - 1)
    assert len(_threads("test-few")) == 3, "jobs were begun since the last look"
    await _until_left(pool, 47)
    pool._relieve(47, pool._begun)
    assert len(_threads("test-few")) == 6, "none was"
    await _until_left(pool, 44)
    pool._relieve(44, pool._begun)
    assert len(_threads("test-few")) == 12
    gate.set()
    pool.close()


async def _until_left(pool: Pool, jobs: int) -> None:
    while pool._jobs.qsize() > jobs:  # noqa: ASYNC110 - threads take them
        await asyncio.sleep(0.001)
