"""How many processes a worker runs at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """A number of places. Those who had one and come back (woken processes) go before new tasks.

    Attributes:
        free: Places that a new task may take now; below 0: more are at work than there are places.
        on_free: Called when a place has become free for new tasks.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.on_free: Callable[[], None] | None = None
        self.free = total
        self._returning: deque[asyncio.Future[None]] = deque()

    def take(self, count: int) -> int:
        """Take up to `count` free places at once; returns how many were taken."""
        taken = max(0, min(count, self.free))
        self.free -= taken
        return taken

    async def retake(self) -> None:
        """Wait for a place, before all new tasks."""
        if self.free > 0:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(1)
            raise

    def take_over(self) -> None:
        """Take a place at once, also if there is none: then new tasks wait until one more has become free."""
        self.free -= 1

    def give(self, count: int = 1) -> None:
        """Give places back."""
        self.free += count
        while self.free > 0 and self._returning:
            turn = self._returning.popleft()
            if not turn.done():
                self.free -= 1
                turn.set_result(None)
        if self.free > 0 and self.on_free is not None:
            self.on_free()
