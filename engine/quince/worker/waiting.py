"""What one process waits for, as far as its worker has heard, and how long it stays in memory for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quince.worker.slots import Slots
from quince_persistence.clock import now
from quince_persistence.records import ProcessRow, Result
from quince_persistence.records.steps import Step


class Waiting:
    """The waits of one runner.

    Args:
        linger: Seconds that it stays in memory.

    Attributes:
        awaits: The processes whose ends it waits for.
        lingering: It waits in memory: nothing of it is at work.
        has_slot: It has one of the worker's slots.
    """

    def __init__(self, slots: Slots, linger: float) -> None:
        self.awaits: Sequence[int] = ()
        self.lingering = False
        self.has_slot = True
        self._slots = slots
        self._linger = linger
        self._woken: asyncio.Future[None] | None = None
        self._outstanding: set[int] = set()
        self._due: float | None = None
        self._deadline = False
        self._signals = False
        self._first = self._limited = False
        self._counted_down = False
        self._recheck = False

    # What is waited for

    def begin(self, step: Step) -> None:
        """A step is about to be committed, after which it waits for what this one says."""
        self.awaits, self._outstanding = step.awaits, set(step.awaits)
        self._due, self._deadline, self._signals = step.due, step.deadline, bool(step.signals)
        self._first, self._limited = step.wait_any, step.wait_due
        self._counted_down = self._recheck = False

    def begun(self, over: Sequence[int]) -> None:
        """The step is committed; these have ended before, and nobody will say so."""
        self._outstanding.difference_update(over)

    @property
    def may_go_on(self) -> bool:
        """Nothing is left to wait for, as far as is known here."""
        if self._counted_down:
            return True
        if self._first:
            return len(self._outstanding) < len(set(self.awaits))
        timer = self._due is not None and not self._limited
        return not (self._outstanding or timer or self._signals)

    def are_over(self, own: ProcessRow, results: Sequence[Result]) -> bool:
        """They are, as the store has it: how the process itself stands, and those that it awaits."""
        if self._first or self._limited:
            return own.awaiting == 0
        ended = {result.row.pid for result in results if result.row.terminated}
        return ended.issuperset(self.awaits)

    @property
    def is_due(self) -> bool:
        """Its timer, or the deadline of its signals, is over."""
        return self._due is not None and self._due <= now()

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

    async def rest(self, seconds: float, *, at_once: bool = False) -> None:
        """Sleep without a slot, and take one again."""
        self._give_slot()
        await self.sleep(seconds, at_once=at_once)
        await self.retake_slot()

    def lend_slot(self) -> None:
        """Its step waits inside for others, or is stopped: others get its slot. May be called twice."""
        if self.has_slot:
            self._give_slot()

    def take_back_slot(self) -> None:
        """Its step goes on, whoever has the slot now. May be called twice."""
        if not self.has_slot:
            self._slots.take_over()
            self.has_slot = True

    async def linger(self, *, at_once: bool) -> None:
        """Sleep without a slot until something comes, as long as it may come soon."""
        self._give_slot()
        await self.sleep(self._linger_seconds, at_once=at_once or self.may_go_on or self._recheck)

    async def retake_slot(self) -> None:
        """Take a slot before all new tasks."""
        await self._slots.retake()
        self.has_slot = True

    def _give_slot(self) -> None:
        self.has_slot = False
        self._slots.give()

    @property
    def _linger_seconds(self) -> float:
        """How long to stay in memory: not at all for a timer that fires later than the linger."""
        if self._due is None:
            return self._linger
        until = max(0.0, self._due - now())
        if self._deadline or self._limited or self._first:
            return min(until, self._linger)
        return until if until <= self._linger else 0.0
