"""Pause, play, kill and drain, as they reach the step of a process that runs now."""

from __future__ import annotations

import asyncio
from typing import Any

from quince.processes.execution import Execution
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.interfaces import Owner, Unmet
from quince.worker.step_output import speaking
from quince.worker.stepper import StepEnd
from quince_persistence.records import Control


class StepControl:
    """Runs the steps of one process, under control.

    Attributes:
        intent: The pause or kill that was asked for and is not applied yet.
        execution: What runs it, once it is loaded.
        suspended: Its program is stopped, as a pause.
    """

    def __init__(self, owner: Owner, claimed: ClaimedProcess) -> None:
        self.intent: Control | None = None
        self.execution: Execution | None = None
        self.suspended = False
        self._owner = owner
        self._claimed = claimed
        self._stepping: asyncio.Task[Any] | None = None
        self._beside: asyncio.Task[None] | None = None

    @property
    def stepping(self) -> bool:
        """A step is running."""
        return self._stepping is not None

    async def step(self, execution: Execution) -> StepEnd | None:
        """Run the next step. None: it was killed in the middle.

        Raises:
            Unmet: the step needed the store, which was away.
            CancelledError: this worker stops; that says nothing about the process.
        """
        self._stepping = asyncio.current_task()
        try:
            with speaking(self._claimed.facts, execution.label):
                end = await self._owner.stepper.step(execution)
            if execution.record.unmet is not None:
                raise Unmet(execution.record.unmet)
            return end
        except asyncio.CancelledError:
            if self.intent is not Control.KILL or self._stepping is None:
                raise
            self._stepping.uncancel()
            return None
        finally:
            self._stepping = None

    def note(self, verb: Control) -> None:
        """A control was written for the process: its step can see that it is to stop."""
        self.intent = None if verb is Control.PLAY else verb
        if self.execution is not None:
            if self.intent is not None:
                self.execution.stop.set()
            elif not self._owner.draining:
                self.execution.stop.clear()

    def interrupt(self, verb: Control) -> None:
        """Do to the step that runs what the control asks for."""
        execution = self.execution
        if execution is None:
            return
        if verb is Control.KILL:
            self._kill(execution)
        elif verb is Control.PLAY:
            self.suspended = False
            execution.programs.resume()
        elif self._in_coroutine(execution) and not self.suspended and execution.programs.suspend():
            self.suspended = True
            self._beside = asyncio.get_running_loop().create_task(self._suspend(execution))

    def drain(self) -> None:
        """The worker stops: its step can see that it is to stop."""
        if self.execution is not None:
            self.execution.stop.set()
        if self.suspended and self._stepping is not None:
            self._stepping.cancel()  # its program does not end by itself

    async def close(self) -> None:
        """Wait for what goes on beside the steps."""
        if self._beside is not None:
            await asyncio.gather(self._beside, return_exceptions=True)

    async def _suspend(self, execution: Execution) -> None:
        """Its program is stopped: that is a pause, unless it was taken back meanwhile."""
        if not await self._claimed.suspend():
            self.suspended = False
            execution.programs.resume()

    def _kill(self, execution: Execution) -> None:
        """Cut a coroutine off, once: it may need time to end its programs. Others end by themselves, unless
        their process has ended already, by force: then nobody waits for them."""
        execution.record.doomed = True
        if self._in_coroutine(execution):
            self._cut_off()
        elif self.stepping and (self._beside is None or self._beside.done()):
            self._beside = asyncio.get_running_loop().create_task(self._cut_off_if_ended())

    async def _cut_off_if_ended(self) -> None:
        pid = self._claimed.pid
        row = await self._claimed.read(lambda: self._owner.store.get(pid))
        if row is None or row.terminated:
            self._cut_off()  # the thread goes on; the slot is free

    def _cut_off(self) -> None:
        if self._stepping is not None and not self._stepping.cancelling():
            self._stepping.cancel("killed")

    def _in_coroutine(self, execution: Execution) -> bool:
        """A step is running that can be cancelled (a blocking one cannot: it ends by itself)."""
        return self.stepping and execution.record.cancellable
