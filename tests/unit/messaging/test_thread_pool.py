"""The threads of subscribers: as many as block, and none that has nothing to do."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import pytest

from quince.concurrency import StepThreads
from quince_messaging.clients.thread_pool import ThreadPool
from quince_messaging.side_tasks import Troubles
from quince_messaging.structured_log import StructuredLogger

SOON = 10.0


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-")]


async def test_threads_end_when_they_are_idle_and_come_back() -> None:
    pool = ThreadPool("test-idle", idle=0.01)
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
    pool = ThreadPool("test-race", idle=0.0)  # every thread ends as soon as it can
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
    pool = ThreadPool("test-few")
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


async def _until_left(pool: ThreadPool, jobs: int) -> None:
    while pool._jobs.qsize() > jobs:  # noqa: ASYNC110 - threads take them
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("refusal", [RuntimeError("can't start new thread"), MemoryError()])
async def test_while_no_thread_is_granted_jobs_wait_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    troubles = Troubles(StructuredLogger("test.pool"))
    pool = ThreadPool("test-refused", troubles=troubles)
    done: queue.Queue[int] = queue.Queue()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refusing(refusal))
        for n in range(5):
            pool.submit(done.put, n)
        async with asyncio.timeout(SOON):
            while not troubles.sentences():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert "starting a thread (test-refused) failed" in troubles.sentences()[0]
        assert done.empty()
    assert sorted([await asyncio.to_thread(done.get, timeout=SOON) for _ in range(5)]) == list(range(5))
    assert troubles.sentences() == []
    pool.close()


def _refusing(refusal: Exception) -> Any:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(("test-refused", "quince-step")):
            raise refusal
        start(thread)

    return refuse


async def test_what_was_given_up_while_no_thread_was_granted_is_never_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = StepThreads(8)
    ran: queue.Queue[str] = queue.Queue()
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refusing(RuntimeError("can't start new thread")))
        given_up = loop.run_in_executor(threads, ran.put, "given up")
        waits = loop.run_in_executor(threads, ran.put, "waits")
        await asyncio.sleep(0)
        assert not given_up.done()
        given_up.cancel()
        await asyncio.sleep(0)  # then its thread's side knows
    await asyncio.wait_for(waits, SOON)
    await asyncio.wait_for(loop.run_in_executor(threads, ran.put, "last"), SOON)
    threads.shutdown()
    assert [ran.get_nowait() for _ in range(ran.qsize())] == ["waits", "last"]


def test_a_busy_thread_that_is_quicker_takes_no_idle_thread_away() -> None:
    """Else each job would find one idle thread less, and threads would be started for ever."""
    pool = ThreadPool("test-quicker")
    pool._jobs.put((print, (), True))  # an idle thread was found for it
    assert pool._next() is not None  # by one that was busy until now
    assert pool._idle.acquire(blocking=False), "the other one is still idle"
    pool._jobs.put((print, (), False))
    assert pool._next_when_idle() is not None
    assert not pool._idle.acquire(blocking=False), "nobody is idle any more"
