"""Trying again what fails in passing: with longer and longer pauses, and so that people can see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from quince.text import words_of
from quince_persistence.errors import StoreUnavailable
from quince_persistence.writing.throttled_log import ThrottledLog

_throttled = ThrottledLog("quince.worker")
T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
LOOP_SECONDS = 2.0
"""How long a coroutine step may hold up the event loop while the store is slow."""


class Troubled(Protocol):
    """A worker, which says with its heartbeats what troubles it has.

    Attributes:
        troubles: What keeps processes from going on just now, by their pids.
    """

    troubles: dict[int, str]


class Patience:
    """Tries one thing until it succeeds. For one thread, or one task, and in a `with` block: while it lasts,
    what keeps the process from going on stands among the troubles of its worker.

    Args:
        host: The worker.
        pid: The process for which it is done; 0 if it is for none.
        what: What fails, for people.
    """

    def __init__(self, host: Troubled, pid: int, what: str = "the store is away") -> None:
        self._host = host
        self._pid = pid
        self._what = what
        self._pause = FIRST_PAUSE / 2
        self._failed = False

    def __enter__(self) -> Patience:
        return self

    def __exit__(self, *exc: object) -> None:
        self.over()

    def over(self) -> None:
        """It has succeeded, or is not tried any more."""
        if self._failed:
            self._failed, self._pause = False, FIRST_PAUSE / 2
            self._host.troubles.pop(self._pid, None)

    def after(self, error: BaseException, what: str | None = None) -> float:
        """It has failed again; returns how many seconds to wait.

        Args:
            what: That fails now, if it is something else.
        """
        what, said = what or self._what, words_of(error)
        self._host.troubles[self._pid] = f"{what}: {said}"
        sentence, reason = "process %(pid)s: %(reason)s; it is tried again", f"{what} ({said})"
        _throttled.warn(sentence, pid=self._pid, reason=reason, error=error, key=said)
        self._failed, self._pause = True, min(2 * self._pause, LONGEST_PAUSE)
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
    patience: Patience | None = None  # most calls need none
    try:
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                patience = patience or Patience(host, pid)
                pause = patience.after(error)
            await asyncio.sleep(pause)
    finally:
        if patience is not None:
            patience.over()


def on_loop() -> bool:
    """Whether an event loop runs in this thread, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
