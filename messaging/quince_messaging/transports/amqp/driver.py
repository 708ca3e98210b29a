"""Calls into aio-pika, with a time limit and with honest errors, and without what it would log of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from quince_messaging.errors import DeliveryFailed

T = TypeVar("T")

_TOLD_BY_US = (
    "error when creating transport",
    "Connection %r was blocked",
    "Connection %r was unblocked",
    "Unexpected connection close from remote",
)
"""How messages of aiormq begin about what we raise, or log ourselves once: it would log each
attempt, and each connection."""
_ours = ContextVar("_ours", default=False)


@contextlib.contextmanager
def our_connection() -> Iterator[None]:
    """Connections that are opened within are ours; so are the tasks that aiormq starts for them."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def _is_news(record: logging.LogRecord) -> bool:
    """Connections that others open with the same library go on to be logged."""
    return not (_ours.get() and str(record.msg).startswith(_TOLD_BY_US))


logging.getLogger("aiormq.connection").addFilter(_is_news)


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
        raise DeliveryFailed("the connection to the broker was lost meanwhile") from error
