"""The threads in which blocking code of users runs: as many as it takes, and none that outlives a program."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from quince_messaging.clients.thread_pool import Pool
from quince_messaging.side_tasks import Troubles

T = TypeVar("T")

NAME = "quince-step"


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
        self._pool = Pool(name, most, at_once=most, troubles=troubles)

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._pool.submit(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin no more. Nobody waits for those that run, whatever `wait` says."""
        self._pool.close(drop=cancel_futures)
