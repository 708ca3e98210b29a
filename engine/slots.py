"""How many processes a worker runs at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """A number of places. Those who had one and come back (woken processes) go before new tasks.

    Attributes:
        on_free: Called when a place has become free for new tasks.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.on_free: Callable[[], None] | None = None
        self._free = total
        self._returning: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """Places that a new task may take now."""
        return self._free

    def take(self, count: int) -> int:
        """Take up to `count` free places at once; returns how many were taken."""
        taken = min(count, self._free)
        self._free -= taken
        return taken

    async def retake(self) -> None:
        """Wait for a place, before all new tasks."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(1)
            raise

    def give(self, count: int = 1) -> None:
        """Give places back."""
        for _ in range(count):
            while self._returning:
                turn = self._returning.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
            else:
                self._free += 1
        if self._free and self.on_free is not None:
            self.on_free()
