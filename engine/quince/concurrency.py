"""Short blocking calls of the engine, on threads that user code cannot occupy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from quince.step_threads import StepThreads

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
