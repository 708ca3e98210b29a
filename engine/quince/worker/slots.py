"""How many processes a worker runs at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """A number of places. Those who had one and come back (woken processes) go before new tasks.

    Attributes:
        on_free: Called when a place has become free for new tasks.
        kept: All places are kept for one process, which is to be at work alone.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.on_free: Callable[[], None] | None = None
        self.kept = False
        self._free = total
        self._returning: deque[asyncio.Future[bool]] = deque()
        self._alone: asyncio.Future[None] | None = None

    @property
    def free(self) -> int:
        """Places that a new task may take now."""
        return 0 if self.kept else self._free

    def take(self, count: int) -> int:
        """Take up to `count` free places at once; returns how many were taken."""
        taken = min(count, self.free)
        self._free -= taken
        return taken

    async def retake(self) -> bool:
        """Wait for a place, before all new tasks. False: there is none, since all are kept for another."""
        if self.kept:
            return False
        if self._free:
            self._free -= 1
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._returning.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give(1)
            raise

    def give(self, count: int = 1) -> None:
        """Give places back."""
        self._free += count
        self._hand_out()

    def keep(self) -> asyncio.Future[None]:
        """Keep all places for the caller, who has one. Done when the others are free.

        Nobody gets a place from now on, until `open`; those who wait to come back hear that there is none.
        """
        self.kept = True
        while self._returning:
            turn = self._returning.popleft()
            if not turn.done():
                turn.set_result(False)
        self._alone = asyncio.get_running_loop().create_future()
        self._hand_out()
        return self._alone

    def open(self) -> None:
        """Keep nothing any more."""
        if self.kept:
            self.kept, self._alone = False, None
            self._hand_out()

    def _hand_out(self) -> None:
        if self.kept:
            if self._free >= self.total - 1 and self._alone is not None and not self._alone.done():
                self._alone.set_result(None)
            return
        while self._free and self._returning:
            turn = self._returning.popleft()
            if not turn.done():
                self._free -= 1
                turn.set_result(True)
        if self._free and self.on_free is not None:
            self.on_free()
