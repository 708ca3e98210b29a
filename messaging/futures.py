"""Futures of two worlds: concurrent ones for threads, asyncio ones for the hidden loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any


class Outcome(concurrent.futures.Future[Any]):
    """A thread's future that follows one of the hidden loop; who cancels it cancels that one.

    Attributes:
        source: The one that it follows.
    """

    source: asyncio.Future[Any] | None = None

    def cancel(self) -> bool:
        """See `concurrent.futures.Future`."""
        cancelled = super().cancel()
        if cancelled and self.source is not None and not self.source.done():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would answer
                self.source.get_loop().call_soon_threadsafe(self.source.cancel)
        return cancelled


def settle(outcome: concurrent.futures.Future[Any], result: Any, error: BaseException | None) -> None:
    """End a thread's future, unless somebody has."""
    if outcome.done():
        return
    if isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError):
        outcome.cancel()
        outcome.set_running_or_notify_cancel()
    elif error is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def follow(source: asyncio.Future[Any], outcome: concurrent.futures.Future[Any]) -> None:
    """Let a thread's future end like one of the loop, nested ones too.

    On the loop, or from the thread that has just made `source`, before anything can end it.
    """

    def ended(done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            settle(outcome, None, asyncio.CancelledError())
        elif (error := done.exception()) is not None:
            settle(outcome, None, error)
        elif isinstance(result := done.result(), asyncio.Future):
            inner = Outcome()
            follow(result, inner)
            settle(outcome, inner, None)
        else:
            settle(outcome, result, None)

    if isinstance(outcome, Outcome):
        outcome.source = source
    source.add_done_callback(ended)


def is_future(value: Any) -> bool:
    """Whether a subscriber's result is a promise of a result."""
    return isinstance(value, concurrent.futures.Future) or asyncio.isfuture(value)


def when_done(value: Any, done: Callable[[Any, BaseException | None], None]) -> None:
    """Call `done(result, error)` when a future of either world ends, on whatever thread it does."""

    def ended(future: Any) -> None:
        if future.cancelled():
            done(None, asyncio.CancelledError())
        elif (error := future.exception()) is not None:
            done(None, error)
        else:
            done(future.result(), None)

    if asyncio.isfuture(value):
        value.get_loop().call_soon_threadsafe(value.add_done_callback, ended)
    else:
        value.add_done_callback(ended)
