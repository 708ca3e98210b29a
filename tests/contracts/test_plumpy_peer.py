"""plumpy's own launcher and controllers, unchanged, over every transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import kiwipy
import plumpy
import pytest
from plumpy.communications import LoopCommunicator
from plumpy.process_comms import (
    ProcessLauncher,
    RemoteProcessController,
    RemoteProcessThreadController,
)

import messaging
from messaging import Communicator
from tests.contracts.brokers import broker

__all__ = ["broker"]

Pair = tuple[Communicator, Communicator]
SOON = 10.0


class Waits(plumpy.Process):  # type: ignore[misc]
    """Waits until it is played or killed."""

    async def run(self) -> Any:
        return plumpy.Wait(self.done)

    def done(self) -> None:
        return


class Doubles(plumpy.Process):  # type: ignore[misc]
    """Puts out twice its input."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input("n")
        spec.output("twice")

    async def run(self) -> None:
        self.out("twice", 2 * self.inputs.n)


@pytest.fixture
def pair(broker: str) -> Iterator[Pair]:
    with messaging.connect(broker) as near, messaging.connect(broker) as far:
        yield near, far


@pytest.fixture(autouse=True)
async def ticking() -> AsyncIterator[None]:
    """A loop that wakes up now and then, as a daemon's does.

    plumpy adds callbacks to futures of its loop from the communicator's thread, which does not wake the
    loop; on one that is idle they may then never run, with kiwiPy just as here.
    """

    async def tick() -> None:
        while True:  # noqa: ASYNC110 - ticking is the point
            await asyncio.sleep(0.01)

    ticker = asyncio.create_task(tick())
    yield
    ticker.cancel()


def on_loop(communicator: Communicator) -> LoopCommunicator:
    return LoopCommunicator(communicator, asyncio.get_running_loop())


async def waiting(process: Any) -> asyncio.Task[Any]:
    """Run a process until it waits."""
    running = asyncio.create_task(process.step_until_terminated())
    async with asyncio.timeout(SOON):
        while process.state != plumpy.ProcessState.WAITING:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.005)
    return running


async def unwrapped(answer: Any) -> Any:
    """What is in a future, or in a future in a future."""
    async with asyncio.timeout(SOON):
        while isinstance(answer, kiwipy.Future):
            answer = await asyncio.wrap_future(answer)
    return answer


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
