"""plumpy's launcher and controllers with plumpy's own pids, which are UUIDs, and its persister in memory.

What is persisted there is found by the pid as it is, so a pid that arrived as text would be unknown.
"""

from __future__ import annotations

import asyncio
import uuid

import plumpy
import pytest
from plumpy.persistence import InMemoryPersister, LoadSaveContext
from plumpy.process_comms import ProcessLauncher, RemoteProcessController, RemoteProcessThreadController

from tests.contracts.brokers import broker
from tests.contracts.plumpy_pairs import SOON, Doubles, Pair, Waits, on_loop, pair, ticking, unwrapped

__all__ = ["broker", "pair", "ticking"]


@pytest.fixture
async def persister(pair: Pair) -> InMemoryPersister:
    """That of a launcher which takes the tasks of the broker."""
    _, far = pair
    kept, loop = InMemoryPersister(), asyncio.get_running_loop()
    context = LoadSaveContext(loop=loop, communicator=on_loop(far))  # what is continued hears its calls there
    on_loop(far).add_task_subscriber(ProcessLauncher(loop, persister=kept, load_context=context))
    return kept


async def test_coroutines_launch_continue_and_execute(pair: Pair, persister: InMemoryPersister) -> None:
    controller = RemoteProcessController(pair[0])
    three = {"inputs": {"n": 3}}
    pid = await controller.launch_process(Doubles, init_kwargs=three, persist=True, nowait=True)
    assert isinstance(pid, uuid.UUID)
    assert [kept.pid for kept in persister.get_checkpoints()] == [pid]
    assert await controller.continue_process(pid) == {"twice": 6}
    assert await controller.continue_process(pid, nowait=True) == pid
    assert await controller.execute_process(Doubles, init_kwargs=three) == {"twice": 6}


async def test_threads_launch_continue_and_execute(pair: Pair, persister: InMemoryPersister) -> None:
    controller = RemoteProcessThreadController(pair[0])
    three = {"inputs": {"n": 3}}
    pid = await unwrapped(controller.launch_process(Doubles, init_kwargs=three, persist=True, nowait=True))
    assert isinstance(pid, uuid.UUID)
    assert [kept.pid for kept in persister.get_checkpoints()] == [pid]
    assert await unwrapped(controller.continue_process(pid)) == {"twice": 6}
    assert await unwrapped(controller.execute_process(Doubles, init_kwargs=three)) == {"twice": 6}


async def test_what_was_continued_is_paused_played_and_killed(
    pair: Pair, persister: InMemoryPersister
) -> None:
    coroutines, threads = RemoteProcessController(pair[0]), RemoteProcessThreadController(pair[0])
    process = Waits()
    pid = process.pid
    assert isinstance(pid, uuid.UUID)
    persister.save_checkpoint(process)

    async def is_waiting(paused: bool) -> None:
        async with asyncio.timeout(SOON):
            while True:
                status = await unwrapped(await coroutines.get_status(pid))
                if status["state"] == str(plumpy.ProcessState.WAITING) and status["paused"] == paused:
                    return
                await asyncio.sleep(0.01)

    assert await coroutines.continue_process(pid, nowait=True) == pid
    await is_waiting(paused=False)
    assert await unwrapped(await coroutines.pause_process(pid)) is True
    await is_waiting(paused=True)
    assert await unwrapped(await coroutines.play_process(pid)) is True
    await is_waiting(paused=False)
    assert await unwrapped(threads.pause_process(pid)) is True
    await is_waiting(paused=True)
    assert await unwrapped(threads.play_process(pid)) is True
    await is_waiting(paused=False)
    assert await unwrapped(threads.kill_process(pid)) is True
