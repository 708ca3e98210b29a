"""Two communicators of one broker, and an inbox to wait at: what the suites of the awaitable face share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

import quince_messaging
from quince_messaging import AwaitableCommunicator, BroadcastMessage, TaskHandle
from tests.contracts.brokers import broker

__all__ = ["broker"]

Pair = tuple[AwaitableCommunicator, AwaitableCommunicator]
SOON = 10.0


@pytest.fixture
async def pair(broker: str) -> AsyncIterator[Pair]:
    """Two communicators of one broker."""
    async with quince_messaging.connect_async(broker) as one, quince_messaging.connect_async(broker) as other:
        yield one, other


class Inbox:
    """Collects tasks or broadcasts, and lets a test wait for so many of them."""

    def __init__(self, *, settle: Callable[[TaskHandle], None] | None = None) -> None:
        self.items: list[Any] = []
        self._settle = settle
        self._more = asyncio.Event()

    def tasks(self, tasks: Sequence[TaskHandle]) -> None:
        for task in tasks:
            self.items.append(task)
            if self._settle is not None:
                self._settle(task)
        self._more.set()

    def broadcast(self, message: BroadcastMessage) -> None:
        self.items.append(message)
        self._more.set()

    @property
    def bodies(self) -> list[Any]:
        return [item.body for item in self.items]

    async def wait(self, count: int) -> list[Any]:
        async with asyncio.timeout(SOON):
            while len(self.items) < count:
                self._more.clear()
                await self._more.wait()
        return self.items


def ack(task: TaskHandle) -> None:
    task.ack()


async def eventually(check: Callable[[], Any]) -> None:
    """Wait until an awaitable condition holds."""
    async with asyncio.timeout(SOON):
        while not await check():  # noqa: ASYNC110 - what is waited for happens on the broker
            await asyncio.sleep(0.01)
