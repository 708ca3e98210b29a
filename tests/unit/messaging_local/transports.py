"""Transports on one directory, which are closed at the end of a test, and what collects their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from quince_messaging.contract import TaskHandle
from quince_messaging.transports.local import LocalTransport

Open = Callable[[], Awaitable[LocalTransport]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens one after another."""
    transports: list[LocalTransport] = []

    async def start() -> LocalTransport:
        transport = LocalTransport(tmp_path / "d")
        await transport.open()
        transports.append(transport)
        return transport

    yield start
    for transport in transports:
        await transport.close()


class Tray:
    """Collects what a consumer is given; settles nothing by itself."""

    def __init__(self) -> None:
        self.tasks: list[TaskHandle] = []
        self._changed = asyncio.Event()

    def deliver(self, tasks: Sequence[TaskHandle]) -> None:
        self.tasks += tasks
        self._changed.set()

    async def until(self, count: int) -> list[TaskHandle]:
        async with asyncio.timeout(10):
            while len(self.tasks) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.tasks


async def settled(transport: LocalTransport) -> None:
    """Until all that was said and settled so far has been done everywhere in this process."""
    for _ in range(20):
        await transport.queue_size(queue="none")
