"""Threads that run the subscribers of the blocking face."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from quince_messaging.side_tasks import Troubles
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)

MOST_THREADS = 1_000
"""Subscribers that may block at a time, those that wait for calls of their own included."""
IDLE = 10.0
"""Seconds after which a thread that has nothing to do ends."""
AT_ONCE = 2
HESITATION = 0.005
"""Seconds that a job may wait for a busy thread before another one is started for it. Most jobs are
short, and threads that compete for the interpreter lock make all of them slower."""
LONGEST_HESITATION = 1.0
"""Seconds between two attempts to start a thread, at most, while the system grants none."""

Job = tuple[Callable[..., object], tuple[Any, ...], bool]
"""A function, its arguments, and whether an idle thread was found for it when it came."""


class ThreadPool:
    """A pool of daemon threads: they never keep the interpreter alive, whatever a subscriber does.

    (The threads of `concurrent.futures` are joined at exit, so one subscriber that blocks would hang
    the program there.) Used from one event loop, which also watches for jobs that wait too long.
    Threads are started as they are needed, and end when they are not.

    Args:
        at_once: Threads that are started without hesitation.
        troubles: Is told while the system grants no thread. What waits then is done when it does, or when a
            thread has nothing to do any more.
    """

    def __init__(
        self,
        name: str,
        most: int = MOST_THREADS,
        idle: float = IDLE,
        at_once: int = AT_ONCE,
        troubles: Troubles | None = None,
    ) -> None:
        self._name = name
        self._most = most
        self._patience = idle
        self._at_once = at_once
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0
        self._begun = 0
        """Changes whenever a thread takes a job; no more than that is asked of it, so it needs no lock."""
        self._watching = False
        self._hesitation = HESITATION
        self._troubles = troubles or Troubles(log)
        self._closed = False

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        """Run `function(*args)` on a thread of the pool; its exceptions are logged."""
        if self._closed:
            return
        found = self._idle.acquire(blocking=False)
        self._jobs.put((function, args, found))
        if found:
            return
        if self._threads < self._at_once and self._start_thread():
            return
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_later(HESITATION, self._relieve, self._jobs.qsize(), self._begun)

    def _relieve(self, before: int, begun: int) -> None:
        """Start threads for jobs that have waited for a while and did not become fewer: as many again as
        there are if none was begun meanwhile, for then all of them seem to block; else one."""
        waiting = self._jobs.qsize()
        self._watching = bool(waiting) and not self._closed
        if not self._watching:
            self._hesitation = HESITATION
            return
        try:
            if waiting >= before:
                more = max(self._threads, AT_ONCE) if self._begun == begun else 1
                for _ in range(min(more, waiting, self._most - self._threads)):
                    if not self._start_thread():
                        break
        finally:  # whatever happens, those who wait need somebody who looks
            asyncio.get_running_loop().call_later(self._hesitation, self._relieve, waiting, self._begun)

    def _start_thread(self) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._threads += 1
        name = f"{self._name}-{next(self._numbers)}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:  # the system grants no more: those that run come to it
            self._ended()
            self._hesitation = min(2 * self._hesitation, LONGEST_HESITATION)
            self._troubles.failed(f"starting a thread ({self._name})", error)
            return False
        if self._hesitation > HESITATION:
            self._hesitation = HESITATION
            self._troubles.well(f"starting a thread ({self._name})")
        return True

    def _ended(self) -> None:
        with self._lock:
            self._threads -= 1

    def close(self, *, drop: bool = True) -> None:
        """No more jobs. Those that run go on; nobody waits for them.

        Args:
            drop: Those that wait for a thread are not begun any more.
        """
        with self._lock:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while drop:
                    self._jobs.get_nowait()
            for _ in range(self._threads):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._begun += 1
            function, args, _ = job
            try:
                function(*args)
            except BaseException:  # also SystemExit: it is no reason to end this thread
                log.exception("a subscriber failed", function=getattr(function, "__qualname__", None))
            del job, function, args

        self._ended()

    def _next(self) -> Job | None:
        """The next job; None to end.

        `_idle` counts the idle threads less the jobs on their way to one, whoever takes a job in the end.
        """
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return self._next_when_idle()
        if job is not None and job[2]:
            self._idle.release()  # the thread that it was meant for is still idle
        return job

    def _next_when_idle(self) -> Job | None:
        self._idle.release()
        while True:
            try:
                job = self._jobs.get(timeout=self._patience)
            except queue.Empty:
                if self._idle.acquire(blocking=False):
                    return None
                continue  # somebody counts on this thread
            if job is not None and not job[2] and not self._idle.acquire(blocking=False):
                self._start_thread()  # another job was on its way to this thread
            return job


class InOrder:
    """Runs what it is given one at a time and in order, on threads of a pool."""

    def __init__(self, pool: ThreadPool, function: Callable[[Any], object]) -> None:
        self._pool = pool
        self._function = function
        self._waiting: deque[Any] = deque()
        self._lock = threading.Lock()
        self._running = False
        self._stopped = False

    def put(self, item: Any) -> None:
        """Have `function(item)` called after those before it."""
        with self._lock:
            if self._stopped:
                return
            self._waiting.append(item)
            if self._running:
                return
            self._running = True
        self._pool.submit(self._run)

    def stop(self) -> None:
        """Begin no more calls, from any thread. One that runs goes on; nobody waits for it."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                item = self._waiting.popleft()
            try:
                self._function(item)
            except BaseException:  # also SystemExit: what comes next is to be heard
                log.exception("a subscriber failed", function=getattr(self._function, "__qualname__", None))
