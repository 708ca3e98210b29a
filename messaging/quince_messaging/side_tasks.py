"""Work that goes on beside everything else, and who sees to it that it does.

A task or a thread that ends at an exception takes with it whatever it was there for, and nobody notices. So
everything that is to run as long as its owner is given to a `SideTasks`: what fails there is begun again
after a pause, told in the log, counted, and shown by whoever asks for `sentences`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from quince_messaging.structured_log import StructuredLogger

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
WELL_AFTER = 60.0
"""Seconds without a failure after which something is well again, if it does not say so itself."""
TELL_AGAIN = 60.0
"""Seconds between two lines in the log about the same failure."""
CLOSING = 5.0
LONGEST = 300
MOST = 8


class Unasked(Exception):
    """A side task was cancelled, or has ended, and its owner did not want that."""


@dataclass(slots=True)
class _Trouble:
    said: str
    since: float
    last: float
    failures: int = 0
    told: float = float("-inf")


class Troubles:
    """What fails just now, by name. Usable from any thread.

    Attributes:
        also: Where more sentences come from.

    Args:
        log: Where it is told.
        passing: Errors of others that pass by themselves: they are told in one line, without a traceback.
    """

    def __init__(self, log: StructuredLogger, passing: tuple[type[BaseException], ...] = ()) -> None:
        self._log = log
        self._passing = passing
        self._lock = threading.Lock()
        self._troubles: dict[str, _Trouble] = {}
        self.also: list[Callable[[], list[str]]] = []

    def failed(self, name: str, error: BaseException) -> int:
        """Something has failed, and will be tried again; returns how often it did so in a row."""
        now, said = time.monotonic(), _said(error)
        with self._lock:
            trouble = self._troubles.get(name)
            if trouble is None or now - trouble.last > WELL_AFTER:
                trouble = self._troubles[name] = _Trouble(said, now, now)
            if trouble.said != said:
                trouble.told = float("-inf")
            trouble.said, trouble.last, trouble.failures = said, now, trouble.failures + 1
            tell = now - trouble.told > TELL_AGAIN
            if tell:
                trouble.told = now
            failures = trouble.failures
        if tell:
            passes = isinstance(error, (*self._passing, Unasked))
            level = logging.WARNING if passes else logging.ERROR
            self._log.log(
                level,
                "%(work)s failed, and will be tried again: %(reason)s",
                work=name,
                count=failures,
                error=error,
                reason=said,
                exc_info=None if passes else error,
            )
        return failures

    def well(self, name: str) -> None:
        """It works."""
        if name not in self._troubles:
            return
        with self._lock:
            trouble = self._troubles.pop(name, None)
        if trouble is not None and trouble.told > float("-inf"):
            self._log.info(
                "%(work)s works again, after %(count)d failures", work=name, count=trouble.failures
            )

    def sentences(self) -> list[str]:
        """What fails just now, each in one sentence."""
        now = time.monotonic()
        with self._lock:
            current = [(n, t) for n, t in self._troubles.items() if now - t.last <= WELL_AFTER]
        told = [f"{n} failed {_times(t.failures)} within {now - t.since:.0f} s: {t.said}" for n, t in current]
        told += [sentence for more in self.also for sentence in more()]
        return [sentence[:LONGEST] for sentence in told[:MOST]]


class SideTasks(Troubles):
    """Keeps side work going until `close`.

    Args:
        log, passing: See `Troubles`.
    """

    def __init__(self, log: StructuredLogger, passing: tuple[type[BaseException], ...] = ()) -> None:
        super().__init__(log, passing)
        self.kept: dict[str, SideTask] = {}
        self._errands: set[asyncio.Task[Any]] = set()
        self._closed = threading.Event()
        OWNERS.add(self)

    def keep(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, object]],
        *,
        every: float | None = None,
        longest: float = LONGEST_PAUSE,
    ) -> SideTask:
        """Have `work` done for as long as this owner lives. On the loop that it is to run on.

        Args:
            name: For people.
            every: Seconds after which it is done again; None for work that does not end by itself.
            longest: Seconds until it is begun again after a failure, at most.
        """
        if name in self.kept:
            name = next(f"{name} ({n})" for n in itertools.count(2) if f"{name} ({n})" not in self.kept)
        kept = self.kept[name] = SideTask(self, name, work, every, longest)
        kept.begin()
        return kept

    def sentences(self) -> list[str]:
        """See `Troubles`; what has begun and does not come to an end is told too."""
        slow = [(name, kept.busy) for name, kept in list(self.kept.items()) if kept.busy > WELL_AFTER]
        told = [f"{name} has not come to an end for {busy:.0f} s" for name, busy in slow]
        return (told + super().sentences())[:MOST]

    def drop(self, kept: SideTask) -> None:
        """It is not wanted any more."""
        kept.end()
        if self.kept.get(kept.name) is kept:
            del self.kept[kept.name]

    def spawn(self, name: str, errand: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something once beside all else; if it fails, that is told."""
        task = asyncio.get_running_loop().create_task(errand, name=name)
        self._errands.add(task)
        task.add_done_callback(self._errand_ended)
        return task

    def thread(self, name: str, body: Callable[[], object], *, longest: float = 1.0) -> threading.Thread:
        """A daemon thread, not started yet, for a `body` that returns when it is told to: if it raises, it is
        called again after a pause.

        Args:
            longest: Seconds of that pause, at most.
        """

        def run() -> None:
            pause = 0.0
            while not self._closed.wait(pause):
                began = time.monotonic()
                try:
                    body()
                    return
                except BaseException as error:  # also SystemExit: it is no reason to end this thread
                    if time.monotonic() - began > WELL_AFTER:
                        pause = 0.0
                    self.failed(name, error)
                    pause = min(max(2 * pause, FIRST_PAUSE), longest)

        return threading.Thread(target=run, name=name, daemon=True)

    def stop(self) -> None:
        """Begin nothing again. From any thread."""
        self._closed.set()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    async def close(self, timeout: float = CLOSING) -> None:
        """End the tasks, waiting for that at most `timeout` seconds; threads are only kept from beginning
        again. May be called twice."""
        self.stop()
        tasks = [task for kept in self.kept.values() if (task := kept.end()) is not None]
        tasks += self._errands
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    def _errand_ended(self, task: asyncio.Task[Any]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(task.get_name(), error)


OWNERS: weakref.WeakSet[SideTasks] = weakref.WeakSet()
"""All that there are."""


@dataclass(eq=False)
class SideTask:
    """One thing that is kept going.

    Attributes:
        task: The task that does it just now.
        begun: How many times it was begun.
    """

    _owner: SideTasks
    name: str
    _work: Callable[[], Coroutine[Any, Any, object]]
    _every: float | None
    _longest: float
    task: asyncio.Task[None] | None = None
    begun: int = 0
    _pause: float = 0.0
    _since: float = 0.0
    _round: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _ended: bool = False

    def begin(self) -> None:
        """Begin it (again)."""
        if self._ended or self._owner.closed:
            return
        loop = asyncio.get_running_loop()
        self.begun += 1
        self._since = loop.time()
        self.task = loop.create_task(self._run(), name=self.name)
        self.task.add_done_callback(self._over)

    def end(self) -> asyncio.Task[None] | None:
        """It is not wanted any more; its task, cancelled, if it has one."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self.task is not None:
            self.task.cancel()
        return self.task

    @property
    def busy(self) -> float:
        """For how many seconds it has been at the present round; 0 between rounds."""
        began = self._round
        return 0.0 if began is None else time.monotonic() - began

    async def _run(self) -> None:
        if self._every is None:
            await self._work()
            return
        while True:
            self._round = time.monotonic()
            await self._work()
            self._round = None
            self._owner.well(self.name)
            self._pause = 0.0
            await asyncio.sleep(self._every)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._round = None
        if self._ended or self._owner.closed:
            if not task.cancelled():
                task.exception()  # nobody needs to hear of it
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._since > WELL_AFTER and self._every is None:
            self._pause = 0.0
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), self._longest)
        self._timer = loop.call_later(self._pause, self.begin)  # before anything else that may fail
        error = Unasked("it was cancelled") if task.cancelled() else task.exception()
        self._owner.failed(self.name, error or Unasked("it has ended"))


def _said(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(it cannot be told)"
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(error, Unasked):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
