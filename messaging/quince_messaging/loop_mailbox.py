"""Calls into an event loop from other threads, many for the price of one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)


class LoopMailbox:
    """Calls that other threads leave for a loop; one wake-up of the loop runs all that are there.

    Waking a loop in another thread costs 50 to 100 microseconds, an entry here about one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._awake = False

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have the loop call `function(*args)` soon, in the order of posting. From any thread.

        If Ctrl-C comes meanwhile it may be called or not, or only with the next one that is posted.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._entries.append((function, args))
        if not self._awake:
            try:
                self._awake = True
                self._loop.call_soon_threadsafe(self._drain)
            except BaseException:
                self._awake = False  # the next one wakes it, be it for the second time
                raise

    @property
    def at_rest(self) -> bool:
        """Whether all that was posted has been called. A poster that sees it can trust it for his own."""
        return not self._awake and not self._entries

    def _drain(self) -> None:
        try:
            for _ in range(len(self._entries)):  # no more: the loop has other things to do as well
                function, args = self._entries.popleft()
                try:
                    function(*args)
                except Exception:
                    log.exception(
                        "a call from another thread failed", function=getattr(function, "__qualname__", None)
                    )
        finally:
            self._rest()

    def _rest(self) -> None:
        if not self._entries:
            self._awake = False  # before the last look: what comes later wakes the loop again
        if self._entries:
            self._awake = True
            self._loop.call_soon(self._drain)
