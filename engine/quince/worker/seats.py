"""Where the steps of one process run, as its worker sees that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from quince.hosts.failures import Stopped
from quince.hosts.interfaces import Engine
from quince.hosts.protocol import stays
from quince.hosts.stepped import SteppedProcess
from quince.hosts.stepper import Stepper
from quince.processes import checkpoint
from quince.worker.step_limit import StepLimit
from quince_persistence.records import Claim, Result
from quince_persistence.records.steps import Step


class Seat(Protocol):
    """The place of one process, under one claim.

    Attributes:
        on_failure: What the step that ran last, or runs, says of that; None: nothing that is known here.
        span: Under which its next step runs, as a `traceparent`; None: nobody looks on.
    """

    span: str | None

    @property
    def on_failure(self) -> str | None: ...

    async def step(self, results: Sequence[Result] = ()) -> Step:
        """Run the next step, and what it did, ready to be committed.

        The process is loaded if that has not been done, or what it was loaded into is gone.

        Args:
            results: How processes stand for which it has waited.

        Raises:
            Stopped: it was stopped in the middle, as was asked (`kill`).
            HostDied: what ran it has ended; the step may be run again.
            CannotGoOn, Fenced, Restored, Unmet, EngineFailed: see there.
            CancelledError: this worker stops; that says nothing about the process.
        """

    def stop(self, stopping: bool) -> None:
        """Let the step that runs see that the process, or its worker, is to stop; or that it is not."""

    def kill(self, *, force: bool) -> None:
        """Stop the step that runs: `step` raises Stopped, unless the step ends by itself.

        Args:
            force: At once; else its code gets the time to end that the workspace grants.
        """

    async def suspend(self, *, now: bool) -> bool:
        """Stop what the step that runs is doing, as a pause; whether it is stopped. One that has not begun
        does not begin any more: `step` raises Stopped.

        Args:
            now: Wherever it is; else only if it runs programs that were made for that.
        """

    def resume(self) -> None:
        """Let it go on; `suspend`, if that still waits for its answer, answers False."""

    def leave(self) -> None:
        """The process is not run here any more."""


class InlineSeat:
    """Runs steps in this program: coroutines on the loop, others on the thread of `run()` or beside it.

    Args:
        left: Called when the process is not run here any more.

    Attributes:
        limit: The time that its step has.
    """

    def __init__(
        self, claim: Claim, engine: Engine, stepper: Stepper, left: Callable[[InlineSeat], None]
    ) -> None:
        self.pid = claim.row.pid
        self.limit = StepLimit(self._time_over)
        self._claim = claim
        self._make = partial(SteppedProcess, engine=engine, stepper=stepper)
        self._left = left
        self._stepped = self._make(claim)
        self.on_failure: str | None = None
        self.span: str | None = None
        self._stopping = False
        self._stepping: asyncio.Task[Any] | None = None
        self._killed = False

    async def step(self, results: Sequence[Result] = ()) -> Step:
        self._stepping = asyncio.current_task()
        self.on_failure = None
        try:
            step = await self._stepped.step(results, span=self.span)
        except asyncio.CancelledError:
            if not self._killed or self._stepping is None:
                raise
            self._stepping.uncancel()
            raise Stopped from None
        finally:
            self._stepping = None
            self.limit.clear()
        self._claim = claim_after(step, self._claim)
        if not stays(step):
            self._stepped = self._make(self._claim)
            self._stepped.stop(self._stopping)
        return step

    def stop(self, stopping: bool) -> None:
        self._stopping = stopping
        self._stepped.stop(stopping)

    def _time_over(self) -> None:
        """A coroutine is cancelled. A function can see that it is to stop, and ends by itself."""
        if self._stepping is not None and self._stepped.time_over() is not None and self._stepped.cancellable:
            self._stepping.cancel("its time is over")

    def kill(self, *, force: bool) -> None:
        """Cut a coroutine off, once: it may need time to end its programs. A function in a thread ends by
        itself; by force nobody waits for it."""
        self._stepped.doom()
        if (self._stepped.cancellable or force) and self._stepping is not None:
            self._killed = True
            if not self._stepping.cancelling():
                self._stepping.cancel("killed")

    async def suspend(self, *, now: bool) -> bool:
        """Stop its programs. A step that runs none cannot be stopped here."""
        suspended = self._stepped.suspend(everything=now)
        if suspended:
            self.limit.hold()
        return suspended

    def resume(self) -> None:
        self.limit.go_on()
        self._stepped.resume()

    def leave(self) -> None:
        self._left(self)


def claim_after(step: Step, claim: Claim) -> Claim:
    """The claim from which a process is loaded after this step, by the one of before."""
    if step.checkpoint is None and step.attempt == claim.row.attempt:
        return claim
    row = claim.row
    if step.attempt != row.attempt:
        row = msgspec.structs.replace(row, attempt=step.attempt)
    whole = checkpoint.of_step(step)
    return Claim(row, claim.inputs, claim.checkpoint if whole is None else whole)
