"""Pause, play, kill and drain, as they reach the step of a process that runs now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from quince.worker.claimed_process import ClaimedProcess
from quince.worker.interfaces import Owner
from quince.worker.seats import Seat
from quince.worker.waiting import Waiting
from quince_persistence.records import Control, Result
from quince_persistence.records.steps import Step


class Wish(Enum):
    """What is to be done with a step that runs."""

    PAUSE = auto()
    PAUSE_NOW = auto()
    PLAY = auto()


class StepControl:
    """Runs the steps of one process, under control.

    Args:
        slot: Lent while the step is stopped: it costs no processor.

    Attributes:
        intent: The pause or kill that was asked for and is not applied yet.
        suspended: Set while its step, or the program of it, is stopped, as a pause.
    """

    def __init__(self, owner: Owner, claimed: ClaimedProcess, seat: Seat, slot: Waiting) -> None:
        self.intent: Control | None = None
        self.suspended = asyncio.Event()
        self._owner = owner
        self._claimed = claimed
        self._seat = seat
        self._slot = slot
        self._stepping: asyncio.Task[Any] | None = None
        self._stopped = False
        self._wish: Wish | None = None
        self._asking: Wish | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def stepping(self) -> bool:
        """A step is running."""
        return self._stepping is not None

    async def step(self, results: Sequence[Result] = ()) -> Step:
        """Run the next step; as `Seat.step`."""
        self._stepping = asyncio.current_task()
        try:
            return await self._seat.step(results)
        finally:
            self._stepping = None
            self._stopped = False
            self.suspended.clear()
            self._slot.take_back_slot()

    def note(self, verb: Control) -> None:
        """A control was written for the process: its step can see that it is to stop."""
        self.intent = None if verb is Control.PLAY else verb
        if self.intent is not None:
            self._seat.stop(True)
        elif not self._owner.draining:
            self._seat.stop(False)

    def interrupt(self, verb: Control, *, now: bool) -> None:
        """Do to the step that runs what the control asks for.

        Args:
            now: Without waiting for what its code does about it.
        """
        if self._stepping is None:
            return
        if verb is Control.KILL:
            self._seat.kill(force=now)
        elif verb is Control.PLAY:
            self._follow(Wish.PLAY)
        else:
            self._follow(Wish.PAUSE_NOW if now else Wish.PAUSE)

    def drain(self) -> None:
        """The worker stops: its step can see that it is to stop."""
        self._seat.stop(True)
        self._give_up_suspended()

    def _give_up_suspended(self) -> None:
        """Of a worker that drains: a step that is stopped does not end by itself."""
        if self.suspended.is_set() and self._stepping is not None:
            self._stepping.cancel()

    async def close(self) -> None:
        """Wait for what goes on beside the steps."""
        self._seat.leave()
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)

    # Pause and play, one after the other

    def _follow(self, wish: Wish) -> None:
        if wish is self._asking:
            return
        self._wish = wish
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._follow_wishes())
        elif self._asking is not None:
            self._seat.resume()  # nobody waits any more for what was asked before

    async def _follow_wishes(self) -> None:
        while self._wish is not None and self._stepping is not None:
            wish, self._wish = self._wish, None
            if wish is Wish.PLAY:
                if not (self._stopped and await self._claimed.is_paused()):  # again, by the time it was heard
                    self._resume()
            elif self._stopped or await self._suspend(wish):
                await self._write_pause()

    async def _suspend(self, wish: Wish) -> bool:
        self._asking = wish
        try:
            self._stopped = await self._seat.suspend(now=wish is Wish.PAUSE_NOW)
        finally:
            self._asking = None
        return self._stopped

    async def _write_pause(self) -> None:
        """It is stopped: that is a pause, unless it was taken back meanwhile."""
        if not await self._claimed.suspend():
            self._resume()
        elif self._stopped:
            self.suspended.set()
            self._slot.lend_slot()
            if self._owner.draining:
                self._give_up_suspended()

    def _resume(self) -> None:
        self._stopped = False
        self.suspended.clear()
        self._slot.take_back_slot()
        self._seat.resume()
