"""The thread that called `run()`: users' functions run on it, as they would in a script."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class CallingThread:
    """Runs functions on the thread that waits in `serve`, one at a time.

    So a debugger has the terminal, coverage sees the lines, and what only a main thread may do (signal
    handlers, windows) can be done if it is that.

    Args:
        wanted: Whether it is to take on another function.
    """

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._free = False
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def or_else(self, threads: Executor) -> Executor:
        """Runs each function here if it can begin at once, else in these threads."""
        return _Either(self, threads)

    def serve(self, until: Future[T]) -> T:
        """Run functions until this future is done; returns, or raises, what it has.

        Raises:
            KeyboardInterrupt: also if a function has let it through. What waits for that never hears of it.
        """
        self._free = True
        until.add_done_callback(lambda _: self._work.put(None))
        try:
            while (work := self._work.get()) is not None:
                work()
                self._free = True
        finally:
            with self._lock:
                self._free = False
        return until.result()

    def take(self, work: Callable[[], object]) -> bool:
        """Run it, if that can begin at once."""
        with self._lock:
            if not self._free or not self._wanted():
                return False
            self._free = False
            self._work.put(work)
            return True


class _Either(Executor):
    def __init__(self, thread: CallingThread, threads: Executor) -> None:
        self._thread = thread
        self._threads = threads

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
                if isinstance(result, BaseException) and isinstance(result.__cause__, KeyboardInterrupt):
                    raise result.__cause__
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        return future if self._thread.take(work) else self._threads.submit(function, *args, **kwargs)
