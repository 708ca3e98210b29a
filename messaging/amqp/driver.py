"""Calls into aio-pika, with a time limit and with honest errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from messaging.errors import DeliveryFailed

T = TypeVar("T")


async def ask_driver(call: Awaitable[T], timeout: float) -> T:
    """Await a call of aio-pika or aiormq.

    When a connection goes away they cancel what waits on it. To us CancelledError means that our own
    task is to stop, so theirs is told apart and becomes DeliveryFailed.

    Raises:
        TimeoutError: no answer within `timeout` seconds.
        DeliveryFailed: the connection or the channel was closed meanwhile.
    """
    try:
        async with asyncio.timeout(timeout):
            return await call
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise DeliveryFailed("the link to the broker was lost meanwhile") from error
