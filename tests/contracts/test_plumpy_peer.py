"""plumpy's own launcher and controllers, unchanged, over every transport."""

from __future__ import annotations

import asyncio
from typing import Any

import kiwipy
import plumpy
from plumpy.process_comms import (
    ProcessLauncher,
    RemoteProcessController,
    RemoteProcessThreadController,
)

from tests.contracts.brokers import broker
from tests.contracts.plumpy_pairs import (
    SOON,
    Doubles,
    Pair,
    Waits,
    on_loop,
    pair,
    ticking,
    unwrapped,
    waiting,
)

__all__ = ["broker", "pair", "ticking"]


async def test_the_controller_for_coroutines(pair: Pair) -> None:
    near, far = pair
    process = Waits(communicator=on_loop(far))
    running = await waiting(process)
    controller = RemoteProcessController(near)
    status = await unwrapped(await controller.get_status(process.pid))
    assert status["state"] == str(plumpy.ProcessState.WAITING)
    assert await controller.pause_process(process.pid, msg_text="coffee")
    assert process.paused
    assert await controller.play_process(process.pid)
    assert not process.paused
    assert await controller.kill_process(process.pid, msg_text="enough")
    await asyncio.wait_for(running, SOON)
    assert process.killed()


async def test_the_controller_for_threads(pair: Pair) -> None:
    near, far = pair
    process = Waits(communicator=on_loop(far))
    running = await waiting(process)
    controller = RemoteProcessThreadController(near)

    def drive() -> list[Any]:
        answers = []
        for control in (controller.pause_process, controller.play_process, controller.kill_process):
            answer = control(process.pid)
            while isinstance(answer, kiwipy.Future):
                answer = answer.result(SOON)
            answers.append(answer)
        return answers

    assert await asyncio.to_thread(drive) == [True, True, True]
    await asyncio.wait_for(running, SOON)
    assert process.killed()


async def test_all_are_paused_played_and_killed_by_broadcast(pair: Pair) -> None:
    near, far = pair
    processes = [Waits(communicator=on_loop(far)) for _ in range(3)]
    running = [await waiting(process) for process in processes]
    controller = RemoteProcessThreadController(near)
    await asyncio.to_thread(controller.pause_all, "all of you")
    async with asyncio.timeout(SOON):
        while not all(process.paused for process in processes):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await asyncio.to_thread(controller.play_all)
    async with asyncio.timeout(SOON):
        while any(process.paused for process in processes):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await asyncio.to_thread(controller.kill_all, "all of you")
    await asyncio.wait_for(asyncio.gather(*running), SOON)
    assert all(process.killed() for process in processes)


async def test_the_launcher_runs_what_is_sent(pair: Pair) -> None:
    near, far = pair
    on_loop(far).add_task_subscriber(ProcessLauncher(asyncio.get_running_loop()))
    controller = RemoteProcessController(near)
    outputs = await controller.launch_process(Doubles, init_kwargs={"inputs": {"n": 21}})
    assert outputs == {"twice": 42}


async def test_what_the_launcher_rejects_goes_to_another(pair: Pair) -> None:
    near, far = pair
    on_loop(far).add_task_subscriber(ProcessLauncher(asyncio.get_running_loop()))  # has no persister
    outcome = RemoteProcessThreadController(near).continue_process(17)
    near.add_task_subscriber(lambda _comm, task: ["continued", task["args"]["pid"]])
    assert await unwrapped(outcome) == ["continued", 17]
