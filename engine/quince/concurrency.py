"""The bridges between threads and an event loop: blocking calls beside it, a store's futures on it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from quince_messaging.clients.thread_pool import ThreadPool
from quince_messaging.side_tasks import Troubles

T = TypeVar("T")

THREADS = 4


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, StepThreads] = WeakKeyDictionary()
"""Of each loop: threads do not survive a fork, and a loop of the parent's is none of the child's."""


def aside(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """Call it on a thread and await its answer, like `asyncio.to_thread`.

    The loop's default executor belongs to the steps: they may fill it with calls that take a week, and
    the engine must go on reading.
    """
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = StepThreads(THREADS, "quince-aside")
    return loop.run_in_executor(pool, function, *args)


def close_aside() -> None:
    """Let the threads of `aside` end that serve this loop; when nothing is called there any more."""
    if (pool := _pools.pop(asyncio.get_running_loop(), None)) is not None:
        pool.shutdown()


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


NAME = "quince-step"


def settle(future: Future[T], function: Callable[[], T]) -> None:
    """Call a function, and give a future what comes of that; nothing is done for one that was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


class StepThreads(ThreadPoolExecutor):
    """An executor of daemon threads, for one event loop.

    (The threads of `concurrent.futures` are joined when the interpreter ends: a step that blocks would hold
    up a script after Ctrl-C. An event loop takes only a `ThreadPoolExecutor` as its default, so it is one.)

    Args:
        most: Threads at a time. What comes while there are so many, or while the system grants no more,
            waits for one. It is done then, or not at all if its future was cancelled meanwhile.
        name: Of the threads.
        troubles: Is told while the system grants no thread.
    """

    def __init__(self, most: int, name: str = NAME, troubles: Troubles | None = None) -> None:
        super().__init__(1, thread_name_prefix=name)  # starts no thread: `submit` is another one
        self._pool = ThreadPool(name, most, at_once=most, troubles=troubles)

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        self._pool.submit(lambda: settle(future, lambda: function(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin no more. Nobody waits for those that run, whatever `wait` says."""
        self._pool.close(drop=cancel_futures)
