"""A process that is suspected of killing its workers, tried while nothing else is at work."""

from __future__ import annotations

import asyncio

from quince.recovery.poison import ALONE_SECONDS, ROOM_SECONDS
from quince.worker.slots import Slots
from quince.worker.waiting import Waiting


class Trial:
    """Keeps all slots of a worker for one process.

    Args:
        waiting: The process's; it sleeps there until the others have gone.
        wanted: Whether this process is to be tried alone at all.
    """

    def __init__(self, slots: Slots, waiting: Waiting, *, wanted: bool) -> None:
        self.wanted = wanted
        self._slots = slots
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None

    async def make_room(self, *, at_once: bool) -> bool:
        """Wait until nothing else is at work here; from then on new tasks wait for this process.

        Args:
            at_once: Do not wait.

        Returns:
            False: others are still at work after a while, or the process was woken before.
        """
        alone = self._slots.keep()
        alone.add_done_callback(lambda _: self._waiting.wake())
        await self._waiting.sleep(ROOM_SECONDS, at_once=at_once)
        if alone.done():
            self._timer = asyncio.get_running_loop().call_later(ALONE_SECONDS, self.end)
        return alone.done()

    def end(self) -> None:
        """Others may begin again. May be called twice, and if there was no trial."""
        if self.wanted:
            self.wanted = False
            self._slots.open()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
