"""Callbacks that hear, as kiwiPy's do, that a communicator was closed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, MutableSet
from typing import Any

from quince_messaging.clients.subscribers import call_subscriber
from quince_messaging.contract import Communicator, LinkState
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)

CloseCallback = Callable[[Any, BaseException | None], Any]
"""Called with the communicator and None: there is no error in closing."""


class CloseCallbacks:
    """A listener of the link that calls each callback once, when the link is closed for good.

    Args:
        owner: The communicator, which they are called with.
    """

    def __init__(self, owner: Communicator) -> None:
        self._owner = owner
        self._strong: set[CloseCallback] = set()
        self._weak: MutableSet[CloseCallback] = weakref.WeakSet()

    def add(self, callback: CloseCallback, *, weak: bool) -> None:
        """Call it too. Raises ValueError if it cannot be called."""
        if not callable(callback):
            raise ValueError(f"a close callback must be callable, and {callback!r} is not")
        (self._weak if weak else self._strong).add(callback)

    def __call__(self, state: LinkState) -> None:
        if state is not LinkState.CLOSED:
            return
        for callback in self._strong | set(self._weak):
            _, error = call_subscriber(callback, self._owner, None)
            if error is not None:
                log.error(
                    "a close callback failed",
                    function=getattr(callback, "__qualname__", None),
                    error=error,
                    exc_info=error,
                )
