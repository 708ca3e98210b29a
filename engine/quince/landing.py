"""Awaiting the store's futures on an event loop, at the price of one thread hop for each commit."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def landed(future: Future[T]) -> asyncio.Future[T]:
    """An awaitable for a future of a store whose `on_batch` is this loop's `call_soon_threadsafe`.

    The store then resolves its futures on the loop's own thread, so nothing else has to be crossed.
    """
    here: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.add_done_callback(functools.partial(_copy, here))
    return here


def _copy(here: asyncio.Future[T], future: Future[T]) -> None:
    if here.done():
        return
    error = future.exception()
    if error is None:
        here.set_result(future.result())
    else:
        here.set_exception(error)


def failure_of(done: asyncio.Future[Any]) -> BaseException | None:
    """Why a future that is done has no result; None if it has one."""
    return asyncio.CancelledError("it was cancelled") if done.cancelled() else done.exception()
