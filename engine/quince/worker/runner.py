"""Driving one claimed process: step, commit, next step, until it waits, ends or is taken away.

Durable before proceed: the next step starts only when the last one's transaction has committed.
A runner that finds itself fenced (its claim was lost) drops the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from quince.hosts.failures import (
    AwaitsAgain,
    CannotGoOn,
    EngineFailed,
    Fenced,
    HostDied,
    InDoubt,
    Restored,
    Stopped,
    Unmet,
)
from quince.hosts.step_writer import refused
from quince.on_hold import HELD, UNLOADABLE
from quince.patience import LOOP_SECONDS, Patience
from quince.text import words_of
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.host_deaths import HostDeaths
from quince.worker.interfaces import Owner
from quince.worker.other_code import given_to_another
from quince.worker.step_control import StepControl
from quince.worker.waiting import Waiting
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.errors import PersistenceError, StoreClosed
from quince_persistence.records import TERMINAL, Claim, Control, ProcessRow, Result
from quince_persistence.records.steps import Step, StepOutcome

_log = StructuredLogger("quince.worker")

AGAIN_SECONDS = 5.0
"""Seconds until a process is begun anew with which the engine has failed in passing."""


class Runner:
    """Drives one process under one claim. Owns one slot while it is not lingering.

    Attributes:
        settled: Set when the worker does nothing for the process any more.
        waiting: What it waits for.
    """

    def __init__(self, owner: Owner, claim: Claim) -> None:
        self.pid = claim.row.pid
        self.epoch = claim.row.epoch
        self.settled = asyncio.Event()
        self.waiting = Waiting(owner.slots, owner.linger)
        self._owner = owner
        self._claimed = ClaimedProcess(owner, claim)
        self._facts = self._claimed.facts
        self._deaths = HostDeaths(owner, self._claimed, claim)
        self._row = claim.row
        self._seat = owner.seat(claim)
        self._control = StepControl(owner, self._claimed, self._seat, self.waiting)

    # What others may ask

    @property
    def stepping(self) -> bool:
        """A step of it runs."""
        return self._control.stepping

    @property
    def suspended(self) -> bool:
        """Its step, or the program of it, is stopped, as a pause."""
        return self._control.suspended.is_set()

    def has_applied(self, verb: Control) -> bool:
        """Whether it does no more of what a pause or kill was to end."""
        return self.settled.is_set() or (verb is Control.PAUSE and self.suspended)

    async def until_applied(self, verb: Control) -> None:
        """Wait for that."""
        waits = [asyncio.ensure_future(self.settled.wait())]
        if verb is Control.PAUSE:
            waits.append(asyncio.ensure_future(self._control.suspended.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def notify(self, verb: Control, *, now: bool = False) -> None:
        """A control was written for this process: apply it as soon as may be.

        Args:
            now: (pause) In the midst of a step. (kill) Its step gets no time to end.
        """
        self._control.note(verb)
        if self.waiting.lingering:
            self.waiting.wake()
        else:
            self._control.interrupt(verb, now=now)

    def drain(self) -> None:
        """The worker stops: give the process up after the step that runs now."""
        self._control.drain()
        if self.waiting.lingering:
            self.waiting.wake()

    # The life under one claim

    async def run(self) -> None:
        """Until the process ends, is released, or the claim is lost. Never raises but CancelledError."""
        try:
            await self._take_steps()
        except Exception as error:
            await self._break_off(error)
        finally:
            await self._control.close()
            self.settled.set()
            self._owner.wakeups.unwatch(self.waiting)
            if self.waiting.has_slot:
                self._owner.slots.give()

    @property
    def _is_to_stop(self) -> bool:
        return self._control.intent is not None or self._owner.draining

    async def _take_steps(self) -> None:
        results: Sequence[Result] = ()
        with Patience(self._owner, self.pid, "it cannot go on now") as patience:
            while True:
                if self._is_to_stop and await self._claimed.release():
                    return
                try:
                    step = await self._step(results)
                except CannotGoOn as error:
                    if not await self._may_try_again(error, patience):
                        return
                    continue
                except Stopped:
                    await self._claimed.release(always=True)
                    return
                except HostDied as error:
                    last = await self._after_death(error)
                    if last is None:
                        continue
                    step = last
                patience.over()
                outcome = await self._commit(step)
                found = await self._goes_on(outcome)
                if found is None:
                    return
                results = found

    @property
    def _pauses(self) -> bool:
        """It is put aside when its step has failed, and not ended."""
        said = self._seat.on_failure or self._row.options.on_failure or self._owner.location.on_failure
        return said == "pause"

    async def _step(self, results: Sequence[Result]) -> Step:
        try:
            return await self._control.step(results)
        except Exception:
            self._owner.tellings.flush()  # before this claim may be given up
            raise
        finally:
            self._owner.lent.take_back(self.pid)

    async def _may_try_again(self, error: CannotGoOn, patience: Patience) -> bool:
        """It cannot go on: if that may pass, rest a while, else put it on hold."""
        if not error.passing:
            if error.loading and await given_to_another(self._owner, self._claimed, error.reason):
                return False
            if error.loading:
                _log.error("process %(pid)s cannot be loaded, paused: %(error)s", **self._facts, error=error)
            await self._claimed.put_on_hold(f"{UNLOADABLE if error.loading else HELD}{error.reason}")
            return False
        what = "it cannot be loaded now" if error.loading else None
        await self.waiting.rest(patience.after(error, what), at_once=self._is_to_stop)
        return True

    async def _after_death(self, error: HostDied) -> Step | None:
        """What ran its step has ended. None: the step is to be run again; else it ends the process."""
        await self._deaths.record(error)
        if self._deaths.too_many and not self._is_to_stop:
            return self._deaths.last_step(error, pause=self._pauses)
        if pause := self._deaths.pause(error):
            await self.waiting.rest(pause, at_once=self._is_to_stop)
        return None

    async def _commit(self, step: Step) -> StepOutcome:
        self._owner.tellings.commits(step)
        self.waiting.begin(step)
        self._owner.wakeups.watch(
            self.waiting
        )  # before the commit: an end that comes right after it is heard
        try:
            outcome = await self._claimed.commit(step)
        except PersistenceError as error:  # this step cannot be written, ever; the error can
            await self._claimed.check_history(error)
            self._owner.excepted(self.pid, error)
            last = refused(step, error, place=self._claimed.label, pause=self._pauses)
            outcome = await self._claimed.commit(last)
        self._deaths.over()
        self.waiting.begun(outcome.over)
        if not outcome.awaiting:
            self._owner.wakeups.unwatch(self.waiting)
        return outcome

    async def _goes_on(self, outcome: StepOutcome) -> Sequence[Result] | None:
        """Wait for what the step waits for; how that stands. None: the process has ended, or was released."""
        if self._claimed.state in TERMINAL or self._claimed.put_aside:
            return None
        if (outcome.intent or outcome.paused or self._owner.draining) and await self._claimed.release():
            return None
        if outcome.awaiting:
            return await self._linger()
        return await self._meet_ends() if self.waiting.awaits else ()

    # Waiting

    async def _linger(self) -> Sequence[Result] | None:
        """Wait a while in memory; then release the process. Not None: go on with the next step."""
        await self.waiting.linger(at_once=self._is_to_stop)
        self._owner.wakeups.unwatch(self.waiting)
        if self.waiting.is_due:
            await self._claimed.timer_fired()
        if (not self.waiting.may_go_on or self._is_to_stop) and await self._claimed.release():
            return None
        found = await self._meet_ends()
        if found is None:
            return None
        await self.waiting.retake_slot()
        return found

    async def _meet_ends(self) -> Sequence[Result] | None:
        """Read how the children ended. None: not all have that must (a broadcast was not true), and the
        process is released to wait on.

        Raises:
            Restored: there is nothing to wait for, and not all have ended that must.
            Fenced: it was paused or killed while it waited; who did so has not waited for this worker.
        """
        awaited = set(self.waiting.awaits)
        if not awaited:
            return ()
        found, own = await self._read_ends(awaited)
        if own is not None and not self._claimed.still_owns(own):
            raise Fenced
        if own is not None and self.waiting.are_over(own, found):
            return found
        if await self._claimed.release():
            return None
        found, own = await self._read_ends(awaited)
        if own is None or not self.waiting.are_over(own, found):
            raise Restored
        return found

    async def _read_ends(self, awaited: Collection[int]) -> tuple[Sequence[Result], ProcessRow | None]:
        """How those stand that it awaits, and how it stands itself."""
        found = await self._claimed.read_ends(awaited)
        return found, next((result.row for result in found if result.row.pid == self.pid), None)

    # Breaking off

    async def _break_off(self, error: Exception) -> None:
        match error:
            case Fenced():
                if self._control.intent is None:  # else it was taken away to be paused or killed
                    self._warn("the claim was lost (fenced); dropped", error)
            case AwaitsAgain() | Restored() | InDoubt() | Unmet():
                self._warn(f"{error}; begun anew from what the store knows", error)
                await self._begin_anew(needs_pids=isinstance(error, Unmet))
            case StoreClosed():
                self._warn("this worker has closed its store; another one goes on with it", error)
            case EngineFailed():
                await self._fail(error, passing=error.passing)
            case _:  # ours, not the user's: nobody may wait for ever because of it
                with contextlib.suppress(Fenced, PersistenceError):
                    await self._fail(error, passing=is_temporary(error))

    async def _begin_anew(self, *, needs_pids: bool) -> None:
        """Release the process as it was before the step that ran; any worker takes it, also this one.

        Args:
            needs_pids: Wait until the store gives pids again.
        """
        with contextlib.suppress(Fenced, StoreClosed):
            if needs_pids:
                await self._claimed.read(lambda: self._owner.store.try_write(within=LOOP_SECONDS))
            await self._claimed.release(always=True)

    async def _fail(self, error: Exception, *, passing: bool) -> None:
        """The engine has failed: begin the process anew if that passes, else put it on hold."""
        _log.error(
            "process %(pid)s: the engine failed; %(reason)s",
            **self._facts,
            reason="that may pass, and it is begun anew" if passing else "it is paused",
            error=error,
            exc_info=error,
        )
        if passing:
            with Patience(self._owner, self.pid, "the engine failed") as patience:
                await asyncio.sleep(patience.after(error) + AGAIN_SECONDS)
            await self._claimed.release(always=True)
        else:
            await self._claimed.put_on_hold(f"{HELD}{type(error).__name__}: {words_of(error)}")

    def _warn(self, what: str, error: Exception) -> None:
        _log.warning("process %(pid)s: %(reason)s", **self._facts, reason=what, error=error)
