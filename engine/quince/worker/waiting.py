"""What one process waits for, as far as its worker has heard, and how long it stays in memory for it; also
for the others to go, where it is suspected of killing its workers and is tried alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from quince.recovery.poison import ALONE_SECONDS, ROOM_SECONDS
from quince.worker.slots import Slots
from quince_persistence.records import Step


class Waiting:
    """The waits of one runner.

    Args:
        linger: Seconds that it stays in memory.
        alone: It is to be at work alone, or not at all.

    Attributes:
        alone: All slots of the worker are for it, or are to be.
        awaits: The processes whose ends it waits for.
        lingering: It waits in memory: nothing of it is at work.
        has_slot: It has one of the worker's slots.
    """

    def __init__(self, slots: Slots, linger: float, *, alone: bool = False) -> None:
        self.alone = alone
        self.awaits: Sequence[int] = ()
        self.lingering = False
        self.has_slot = True
        self._slots = slots
        self._linger = linger
        self._woken: asyncio.Future[None] | None = None
        self._trial: asyncio.TimerHandle | None = None
        self._outstanding: set[int] = set()
        self._due: float | None = None
        self._deadline = False
        self._signals = False
        self._counted_down = False
        self._recheck = False

    # What is waited for

    def begin(self, step: Step) -> None:
        """A step is about to be committed, after which it waits for what this one says."""
        self.awaits, self._outstanding = step.awaits, set(step.awaits)
        self._due, self._deadline, self._signals = step.due, step.deadline, bool(step.signals)
        self._counted_down = self._recheck = False

    @property
    def may_go_on(self) -> bool:
        """Nothing is left to wait for, as far as is known here."""
        return self._counted_down or not (self._outstanding or self._due is not None or self._signals)

    @property
    def is_due(self) -> bool:
        """Its timer, or the deadline of its signals, is over."""
        return self._due is not None and self._due <= time.time()

    def child_ended(self, pid: int) -> None:
        """A process that this one may wait for has ended (a broadcast said so)."""
        self._outstanding.discard(pid)
        if self.may_go_on or self._signals:
            self.wake()  # signals may have come meanwhile: the store knows

    def counted_down(self) -> None:
        """The store has counted down the last thing it waited for."""
        self._counted_down = True
        self.wake()

    def recheck(self) -> None:
        """Somebody says that nothing is left to wait for: ask the store."""
        self._recheck = True
        self.wake()

    # Being in memory without doing anything

    def wake(self) -> None:
        """End the sleep, if it sleeps."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def sleep(self, seconds: float, *, at_once: bool = False) -> None:
        """Do nothing for so long, or until somebody wakes it; with `at_once` not at all."""
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        self.lingering = True
        try:
            if not at_once:
                await self._woken
        finally:
            timer.cancel()
            self.lingering = False

    async def rest(self, seconds: float, *, at_once: bool = False) -> bool:
        """Sleep without a slot, and take one again. False: all are kept for another process."""
        self._give_slot()
        await self.sleep(seconds, at_once=at_once)
        return await self.retake_slot()

    async def linger(self, *, at_once: bool) -> None:
        """Sleep without a slot until something comes, as long as it may come soon."""
        self._give_slot()
        await self.sleep(self._linger_seconds, at_once=at_once or self.may_go_on or self._recheck)

    async def retake_slot(self) -> bool:
        """Take a slot before all new tasks. False: all are kept for another process."""
        self.has_slot = await self._slots.retake()
        return self.has_slot

    async def make_room(self, *, at_once: bool) -> bool:
        """Sleep until nothing else is at work here; from then on new tasks wait for this process.

        Returns:
            False: others are still at work after a while, or the process was woken before.
        """
        room = self._slots.keep()
        room.add_done_callback(lambda _: self.wake())
        await self.sleep(ROOM_SECONDS, at_once=at_once)
        if room.done():
            self._trial = asyncio.get_running_loop().call_later(ALONE_SECONDS, self.let_others_in)
        return room.done()

    def let_others_in(self) -> None:
        """Others may begin again. May be called twice, and if there was no trial."""
        if self.alone:
            self.alone = False
            self._slots.open()
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None

    def _give_slot(self) -> None:
        self._slots.give()
        self.has_slot = False

    @property
    def _linger_seconds(self) -> float:
        """How long to stay in memory: not at all for a timer that fires later than the linger."""
        if self._due is None:
            return self._linger
        until = max(0.0, self._due - time.time())
        if self._deadline:
            return min(until, self._linger)
        return until if until <= self._linger else 0.0
