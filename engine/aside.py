"""Short blocking calls of the engine, on threads that user code cannot occupy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 4


class _Threads:
    """The pool, made anew in a forked child: threads do not survive a fork."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="quince-aside")


_threads = _Threads()


def aside(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """Call it on a thread and await its answer, like `asyncio.to_thread`.

    The loop's default executor belongs to the steps: they may fill it with calls that take a week, and
    the engine must go on reading.
    """
    return asyncio.get_running_loop().run_in_executor(_threads.pool, function, *args)
