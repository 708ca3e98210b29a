"""Trying again what fails in passing: with longer and longer pauses, and so that people can see it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

from quince.text import words_of
from quince_persistence.errors import StoreUnavailable
from quince_persistence.writing.throttled_log import ThrottledLog

_log = logging.getLogger("quince.worker")
_throttled = ThrottledLog(_log)
T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
LOOP_SECONDS = 2.0
"""How long a coroutine step may hold up the event loop while the store is slow."""
_WHOSE = "process "
BLOCKED = "its event loop is blocked"
"""Begins what a worker says whose loop does not turn; see `quince.worker.loop_watch`."""
STALE = "changed since this worker imported"
"""Stands in what a worker says whose code is older than its files; see `quince.worker.stale_code`."""


class Troubled(Protocol):
    """A worker, which says with its heartbeats what troubles it has.

    Attributes:
        troubles: What keeps processes from going on just now, by their pids.
    """

    troubles: dict[int, str]


_MOST_TOLD = 20


def told_of(troubles: Mapping[int, str]) -> list[str]:
    """What a worker says of its troubles with a heartbeat: of those that are alike, of the first ones."""
    alike: dict[str, list[int]] = {}
    for pid, trouble in sorted(dict(troubles).items()):
        alike.setdefault(trouble, []).append(pid)
    return [_sentence(pids, trouble) for trouble, pids in list(alike.items())[:_MOST_TOLD]]


def trouble_of(pid: int, told: Sequence[str]) -> str | None:
    """What of that is about this process."""
    for sentence in told:
        whose, _, trouble = sentence.partition(": ")
        if str(pid) in whose.removeprefix(_WHOSE).split(", "):
            return trouble
    return None


def is_blocked(told: str) -> bool:
    """Whether a worker says that its event loop does not turn."""
    return told.startswith(BLOCKED)


def is_stale(told: str) -> bool:
    """Whether a worker says that it runs code that is older than its files."""
    return STALE in told


def _sentence(pids: Sequence[int], trouble: str) -> str:
    return f"{_WHOSE}{', '.join(map(str, pids))}: {trouble}" if any(pids) else trouble


class Patience:
    """One thing that is tried until it succeeds. Used by one thread, or one task, in a `with` block: while it
    lasts, what the process is kept up by stands among the troubles of its worker.

    Args:
        host: The worker.
        pid: The process for which it is done; 0 if it is for none.
        what: What fails, for people: `the store is away`.
    """

    def __init__(self, host: Troubled, pid: int, what: str = "the store is away") -> None:
        self._host = host
        self._pid = pid
        self._what = what
        self._pause = FIRST_PAUSE / 2

    def __enter__(self) -> Patience:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over()

    def over(self) -> None:
        """It has succeeded, or nobody tries any more."""
        self._pause = FIRST_PAUSE / 2
        self._host.troubles.pop(self._pid, None)

    def after(self, error: BaseException) -> float:
        """It has failed again; returns how many seconds to wait."""
        said = words_of(error)
        self._host.troubles[self._pid] = f"{self._what}: {said}"
        facts = {"pid": self._pid or None, "error": type(error).__name__}
        _throttled.warn(
            "process %s: %s (%s); it is tried again", self._pid, self._what, said, extra=facts, key=said
        )
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return self._pause


def wait_for_store(host: Troubled, pid: int, call: Callable[[], T]) -> T:
    """The answer of the store, however long it is away. Blocks: for steps that run in a thread."""
    with Patience(host, pid) as patience:
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                time.sleep(patience.after(error))


async def until_store_answers(host: Troubled, pid: int, call: Callable[[], Awaitable[T]]) -> T:
    """The answer of the store, however long it is away. For coroutines."""
    try:
        return await call()
    except StoreUnavailable as error:
        failure = error
    with Patience(host, pid) as patience:
        while True:
            await asyncio.sleep(patience.after(failure))
            try:
                return await call()
            except StoreUnavailable as error:
                failure = error


def on_loop() -> bool:
    """Whether an event loop runs in this thread, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
