"""The time that a step has, as its worker counts it: what a pause takes of it is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class StepLimit:
    """Calls back when a step has had its time.

    Args:
        over: Called then, with nothing.
    """

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._timer: asyncio.TimerHandle | None = None
        self._left: float | None = None
        self._held = False

    def set(self, seconds: float | None) -> None:
        """It has so many seconds from now on; None: as many as it needs."""
        self._stop()
        self._left = seconds
        self._run()

    def hold(self) -> None:
        """Its step stands still: that time does not count. May be called twice."""
        if self._timer is not None:
            self._left = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
        self._held = True
        self._stop()

    def go_on(self) -> None:
        """It goes on. May be called twice."""
        if self._held:
            self._held = False
            self._run()

    def clear(self) -> None:
        """The step has ended."""
        self._held = False
        self.set(None)

    def _run(self) -> None:
        if self._left is not None and not self._held:
            self._timer = asyncio.get_running_loop().call_later(self._left, self._fire)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = self._left = None
        self._over()
