"""Driving one claimed process: step, commit, next step, until it waits, ends or is taken away.

Durable before proceed: the next step starts only when the last one's transaction has committed.
A runner that finds itself fenced (its claim was lost) drops the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from quince.errors import InvalidDefinition, UnknownTarget, UnloadableNow, UnreadableCheckpoint
from quince.on_hold import HELD, UNLOADABLE
from quince.patience import LOOP_SECONDS, Patience
from quince.processes import checkpoint
from quince.processes.child import ChildProcess
from quince.processes.execution import Execution
from quince.processes.signals import arrivals
from quince.text import words_of
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.interfaces import Fenced, InDoubt, Owner, Restored, Unmet
from quince.worker.step_control import StepControl
from quince.worker.step_writer import StepWriter
from quince.worker.stepper import StepEnd
from quince.worker.waiting import Waiting
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec import Unreadable, loading_nothing, met_unreadable
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.errors import PersistenceError, StoreClosed
from quince_persistence.records import TERMINAL, Claim, Control, ProcessRow, StepOutcome

_log = StructuredLogger("quince.worker")

AGAIN_SECONDS = 5.0
"""Seconds until a process is begun anew with which the engine has failed in passing."""


class Runner:
    """Drives one process under one claim. Owns one slot while it is not lingering.

    Args:
        alone: It is to be at work alone, or not at all.

    Attributes:
        settled: Set when the worker does nothing for the process any more.
        waiting: What it waits for.
    """

    def __init__(self, owner: Owner, claim: Claim, *, alone: bool = False) -> None:
        self.pid = claim.row.pid
        self.epoch = claim.row.epoch
        self.settled = asyncio.Event()
        self.waiting = Waiting(owner.slots, owner.linger, alone=alone)
        self._owner = owner
        self._claim = claim
        self._claimed = ClaimedProcess(owner, claim)
        self._facts = self._claimed.facts
        self._control = StepControl(owner, self._claimed)
        self._writer = StepWriter(owner, claim, self._facts)

    # What others may ask

    @property
    def suspended(self) -> bool:
        """Its program is stopped, as a pause."""
        return self._control.suspended

    def notify(self, verb: Control) -> None:
        """A control was written for this process: apply it as soon as may be."""
        self._control.note(verb)
        if self.waiting.lingering:
            self.waiting.wake()
        else:
            self._control.interrupt(verb)

    def drain(self) -> None:
        """The worker stops: give the process up after the step that runs now."""
        self._control.drain()
        if self.waiting.lingering:
            self.waiting.wake()

    # The life under one claim

    async def run(self) -> None:
        """Until the process ends, is released, or the claim is lost. Never raises but CancelledError."""
        try:
            execution = await self._load()
            if execution is not None:
                await self._take_steps(execution)
        except Exception as error:
            await self._break_off(error)
        finally:
            await self._control.close()
            self.settled.set()
            self._owner.wakeups.unwatch(self.waiting)
            self.waiting.let_others_in()
            if self.waiting.has_slot:
                self._owner.slots.give()

    @property
    def _is_to_stop(self) -> bool:
        return self._control.intent is not None or self._owner.draining

    @property
    def _in_the_way(self) -> bool:
        """Another process is to be at work here alone: this one goes on elsewhere after its step."""
        return self._owner.slots.kept and not self.waiting.alone

    async def _take_steps(self, execution: Execution) -> None:
        while True:
            if (self._is_to_stop or self._in_the_way) and await self._claimed.release():
                return
            if not await self._receive_signals(execution):
                return
            end = await self._control.step(execution)
            if end is None:
                await self._claimed.release()
                return
            if isinstance(end.error, Unreadable):  # when it can be read again, a play goes on
                if is_temporary(end.error):
                    raise end.error
                await self._claimed.put_on_hold(f"{HELD}{words_of(end.error)}")
                return
            outcome = await self._commit(execution, end)
            if not await self._goes_on(execution, outcome):
                return
            execution = await self._successor(execution)

    async def _commit(self, execution: Execution, end: StepEnd) -> StepOutcome:
        step = self._writer.step(execution, end)
        self.waiting.begin(step)
        self._owner.wakeups.watch(
            self.waiting
        )  # before the commit: an end that comes right after it is heard
        try:
            outcome = await self._claimed.commit(step)
        except PersistenceError as error:  # this step cannot be written, ever; the error can
            await self._claimed.check_history(error)
            step = self._writer.excepted(execution, error, outputs=False)
            outcome = await self._claimed.commit(step)
        self.waiting.let_others_in()  # it got on: it is not what kills
        if not outcome.awaiting:
            self._owner.wakeups.unwatch(self.waiting)
        return outcome

    async def _goes_on(self, execution: Execution, outcome: StepOutcome) -> bool:
        """Wait for what the step waits for. False: it has ended, or was released."""
        if self._claimed.state in TERMINAL:
            return False
        if (outcome.intent or outcome.paused or self._owner.draining) and await self._claimed.release():
            return False
        if outcome.awaiting:
            return await self._linger(execution)
        return not execution.record.awaits or await self._meet_ends(execution.record.awaits)

    async def _successor(self, execution: Execution) -> Execution:
        """The process that takes the next step: itself, or, checked, what its checkpoint gave back."""
        if self._writer.copy is None:
            return execution
        (copy, children), self._writer.copy = self._writer.copy, None
        self._control.execution = copy
        await self._read_ends(children)
        if not all(child.known for child in children):
            raise Restored
        return copy

    # Beginning

    async def _load(self) -> Execution | None:
        """Restore the process. None: it was released, or paused with the reason why it cannot be restored.

        What fails in passing is tried again.
        """
        if self.waiting.alone and not await self._has_room():
            return None
        with Patience(self._owner, self.pid, "it cannot be loaded now") as patience:
            while True:
                try:
                    return await self._restore()
                except (UnknownTarget, UnreadableCheckpoint, InvalidDefinition, Unreadable) as error:
                    if not isinstance(error, UnloadableNow) and not is_temporary(error):
                        _log.error(
                            "process %(pid)s cannot be loaded, paused: %(error)s",
                            **self._facts,
                            error=error,
                        )
                        await self._claimed.put_on_hold(f"{UNLOADABLE}{error}")
                        return None
                    if not await self.waiting.rest(patience.after(error), at_once=self._is_to_stop):
                        await self._claimed.release(always=True)
                        return None
                if self._is_to_stop and await self._claimed.release():
                    return None

    async def _has_room(self) -> bool:
        """Nothing else is at work here. False: it did not come to that, and another worker gets it."""
        if await self.waiting.make_room(at_once=self._is_to_stop) and not self._is_to_stop:
            return True
        await self._claimed.release(always=True)
        return False

    async def _restore(self) -> Execution:
        cls = await self._owner.load_class(self._claim.row.class_path)
        with loading_nothing(), met_unreadable() as unread:  # an import would hold up all others
            opened = checkpoint.Opened(cls, self._claim)
        if unread:
            opened = await self._owner.stepper.aside(checkpoint.Opened, cls, self._claim)
        if opened.foreign:
            await self._owner.stepper.aside(opened.migrate)
        execution = self._control.execution = opened.execution(self._owner)
        await self._read_ends(opened.children)
        self._claim = self._writer.claim = Claim(self._claim.row, self._claim.inputs, None)
        return execution

    async def _receive_signals(self, execution: Execution) -> bool:
        """Read the signals that it has waited for. False: they cannot be read, and it is paused."""
        if execution.expected:
            rows = await self._claimed.read(lambda: self._owner.store.signals(self.pid))
            try:
                execution.arrived = arrivals(execution.expected, rows)
            except Unreadable as error:
                if is_temporary(error):
                    raise
                await self._claimed.put_on_hold(f"{HELD}a signal cannot be read: {error}")
                return False
        return True

    # Waiting

    async def _linger(self, execution: Execution) -> bool:
        """Wait a while in memory; then release the process. True: go on with the next step."""
        awaited = list(execution.record.awaits)
        await self.waiting.linger(at_once=self._is_to_stop)
        self._owner.wakeups.unwatch(self.waiting)
        if self.waiting.is_due:
            await self._claimed.timer_fired()
        if (not self.waiting.may_go_on or self._is_to_stop) and await self._claimed.release():
            return False
        if not await self._meet_ends(awaited):
            return False
        if not await self.waiting.retake_slot():
            await self._claimed.release(always=True)
            return False
        return True

    async def _meet_ends(self, awaited: Sequence[ChildProcess]) -> bool:
        """Read how the children ended. False: not all have (a broadcast was not true), and the process
        is released to wait on.

        Raises:
            Restored: there is nothing to wait for, and not all have ended.
            Fenced: it was paused or killed while it waited; who did so has not waited for this worker.
        """
        own = await self._read_ends(awaited)
        if own is not None and not self._claimed.still_owns(own):
            raise Fenced
        if all(child.terminated for child in awaited):
            return True
        if await self._claimed.release():
            return False
        await self._read_ends(awaited)
        if not all(child.terminated for child in awaited):
            raise Restored
        return True

    async def _read_ends(self, children: Sequence[ChildProcess]) -> ProcessRow | None:
        if self._control.execution is not None:
            for child in children:
                child.read_by(self._control.execution.outputs_of)
        return await self._claimed.read_ends(children)

    # Breaking off

    async def _break_off(self, error: Exception) -> None:
        match error:
            case Fenced():
                if self._control.intent is None:  # else it was taken away to be paused or killed
                    self._warn("the claim was lost (fenced); dropped", error)
            case Restored() | InDoubt() | Unmet():
                self._warn(f"{error}; begun anew from what the store knows", error)
                await self._begin_anew(needs_pids=isinstance(error, Unmet))
            case StoreClosed():
                self._warn("this worker has closed its store; another one goes on with it", error)
            case _:  # ours, not the user's: nobody may wait for ever because of it
                with contextlib.suppress(Fenced, PersistenceError):
                    await self._fail(error)

    async def _begin_anew(self, *, needs_pids: bool) -> None:
        """Release the process as it was before the step that ran; any worker takes it, also this one.

        Args:
            needs_pids: Wait until the store gives pids again.
        """
        with contextlib.suppress(Fenced, StoreClosed):
            if needs_pids:
                await self._claimed.read(lambda: self._owner.store.try_write(within=LOOP_SECONDS))
            await self._claimed.release(always=True)

    async def _fail(self, error: Exception) -> None:
        """The engine has failed: begin the process anew if that passes, else put it on hold."""
        temporary = is_temporary(error)
        _log.error(
            "process %(pid)s: the engine failed; %(reason)s",
            **self._facts,
            reason="that may pass, and it is begun anew" if temporary else "it is paused",
            error=error,
            exc_info=error,
        )
        if temporary:
            with Patience(self._owner, self.pid, "the engine failed") as patience:
                await asyncio.sleep(patience.after(error) + AGAIN_SECONDS)
            await self._claimed.release(always=True)
        else:
            await self._claimed.put_on_hold(f"{HELD}{type(error).__name__}: {words_of(error)}")

    def _warn(self, what: str, error: Exception) -> None:
        _log.warning("process %(pid)s: %(reason)s", **self._facts, reason=what, error=error)
