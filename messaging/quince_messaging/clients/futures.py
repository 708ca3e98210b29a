"""Futures of two worlds: concurrent ones for threads, asyncio ones for the hidden loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any

from quince_messaging.wire.calls import raisable

AnyFuture = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Outcome(concurrent.futures.Future[Any]):
    """A future for threads that follows one of the hidden thread, which also calls its callbacks.

    To wait for it there would be to wait for ever, and so is refused. Who cancels it cancels that one.

    Args:
        refuse_there: Raises RuntimeError on the hidden thread.

    Attributes:
        source: The one that it follows.
    """

    def __init__(self, refuse_there: Callable[[], None]) -> None:
        super().__init__()
        self.refuse_there = refuse_there
        self.source: asyncio.Future[Any] | None = None

    def cancel(self) -> bool:
        """As that of every future."""
        cancelled = super().cancel()
        if cancelled and self.source is not None and not self.source.done():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would answer
                self.source.get_loop().call_soon_threadsafe(self.source.cancel)
        return cancelled

    def result(self, timeout: float | None = None) -> Any:
        """As that of every future."""
        if not self.done():
            self.refuse_there()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As that of every future."""
        if not self.done():
            self.refuse_there()
        return super().exception(timeout)


def ending(done: AnyFuture) -> tuple[Any, BaseException | None]:
    """Result and error of a future of either world that has ended; CancelledError if it was cancelled."""
    if done.cancelled():
        return None, asyncio.CancelledError()
    error = done.exception()
    return (done.result(), None) if error is None else (None, error)


def arrive(arrival: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """End a future of a loop, on that loop, unless somebody has."""
    if arrival.done():
        return
    if error is None:
        arrival.set_result(result)
    elif isinstance(error, asyncio.CancelledError):
        arrival.cancel()
    else:
        arrival.set_exception(raisable(error))


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


def follow(source: asyncio.Future[Any], outcome: Outcome) -> None:
    """Let a thread's future end like one of the loop, nested ones too.

    On the loop, or from the thread that has just made `source`, before anything can end it.
    """

    def ended(done: asyncio.Future[Any]) -> None:
        result, error = ending(done)
        if isinstance(result, asyncio.Future):
            inner = Outcome(outcome.refuse_there)
            follow(result, inner)
            result = inner
        settle(outcome, result, error)

    outcome.source = source
    source.add_done_callback(ended)


def is_future(value: Any) -> bool:
    """Whether a subscriber's result is a promise of a result."""
    return isinstance(value, concurrent.futures.Future) or asyncio.isfuture(value)


def when_done(value: Any, done: Callable[[Any, BaseException | None], None]) -> None:
    """Call `done(result, error)` when a future of either world ends, on whatever thread it does."""

    def ended(future: AnyFuture) -> None:
        done(*ending(future))

    if asyncio.isfuture(value):
        value.get_loop().call_soon_threadsafe(value.add_done_callback, ended)
    else:
        value.add_done_callback(ended)
