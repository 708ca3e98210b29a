"""Two communicators of one broker and plumpy's processes: what the suites about plumpy's parts share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import kiwipy
import plumpy
import pytest
from plumpy.communications import LoopCommunicator

import quince_messaging
from quince_messaging import Communicator
from tests.contracts.brokers import broker

__all__ = ["SOON", "Doubles", "Pair", "Waits", "broker", "on_loop", "pair", "ticking", "unwrapped", "waiting"]

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
    with quince_messaging.connect(broker) as near, quince_messaging.connect(broker) as far:
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
