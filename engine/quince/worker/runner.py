"""Driving one claimed process: step, commit, next step, until it waits, ends or is taken away.

Durable before proceed: the next step starts only when the last one's transaction has committed.
A runner that finds itself fenced (its claim was lost) drops the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from quince.concurrency import aside, landed
from quince.errors import InvalidDefinition, UnknownTarget, UnloadableNow, UnreadableCheckpoint
from quince.messages import change_of
from quince.on_hold import HELD, UNLOADABLE
from quince.patience import LOOP_SECONDS, Patience, until_store_answers
from quince.processes import checkpoint
from quince.processes.child import ChildProcess
from quince.processes.execution import Execution
from quince.processes.signals import arrivals
from quince.recovery.poison import ALONE_SECONDS, ROOM_SECONDS
from quince.text import storable, words_of
from quince.worker.interfaces import Fenced, InDoubt, Phase, Restored, RunnerOwner, Unmet
from quince.worker.step_output import speaking
from quince.worker.step_writer import StepWriter
from quince.worker.stepper import StepEnd
from quince_persistence.codec import Unreadable, loading_nothing, met_unreadable
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.errors import PersistenceError, PidTaken, StoreClosed, StoreUnavailable
from quince_persistence.records import TERMINAL, Claim, Control, ProcessRow, Selection, Step, StepOutcome

_log = logging.getLogger("quince.worker")
T = TypeVar("T")

AGAIN_SECONDS = 5.0
"""Seconds until a process is begun anew with which the engine has failed in passing."""


class Runner:
    """Drives one process under one claim. Owns one slot while it is not lingering."""

    def __init__(self, crew: RunnerOwner, claim: Claim, *, alone: bool = False) -> None:
        self.pid = claim.row.pid
        self._alone = alone
        self.phase = Phase.LOADING
        self.settled = asyncio.Event()
        self._crew = crew
        self._claim = claim
        self.epoch = claim.row.epoch
        self._state = claim.row.state
        self._saved = hash(claim.checkpoint)
        self._process: Execution | None = None
        self._scribe = StepWriter(crew, claim)
        self._outstanding: set[int] = set()
        self._watching: Sequence[int] = ()
        self._counted_down = False
        self._told = False
        self._wake: asyncio.Future[None] | None = None
        self._intent: Control | None = None
        self._task: asyncio.Task[Any] | None = None
        self._has_slot = True
        self._trial: asyncio.TimerHandle | None = None
        self.suspended = False
        self._beside: asyncio.Task[None] | None = None

    # What others may ask

    def nudge(self, verb: Control) -> None:
        """A control was written for this process: apply it as soon as its phase allows."""
        self._intent = None if verb is Control.PLAY else verb
        if self._process is not None:
            if self._intent is not None:
                self._process.stop.set()
            elif not self._crew.draining:
                self._process.stop.clear()
        if self.phase is Phase.LINGERING:
            self._rouse()
        elif self._process is not None:
            self._interrupt(self._process, verb)

    def _interrupt(self, process: Execution, verb: Control) -> None:
        """What a control does to a step that runs now."""
        if verb is Control.KILL:
            self._kill(process)
        elif verb is Control.PLAY:
            self.suspended = False
            process.programs.resume()
        elif self._in_coroutine and not self.suspended and process.programs.suspend():
            self.suspended = True
            self._beside = asyncio.get_running_loop().create_task(self._suspend(process))

    async def _suspend(self, process: Execution) -> None:
        """Its program is stopped: that is a pause, unless it was taken back meanwhile."""
        write = self._crew.store.suspend
        outcome = await self._durably(lambda: write(self.pid, self._crew.id, self.epoch))
        if outcome.paused:
            self._crew.outbox.announce(change_of(self.pid, self._state, self._state))
        else:
            self.suspended = False
            process.programs.resume()

    def _kill(self, process: Execution) -> None:
        """Cut a coroutine off, once: it may need time to end its programs. Others end by themselves, unless
        their process has ended already, by force: then nobody waits for them."""
        process.record.doomed = True
        if self._in_coroutine:
            self._cut_off()
        elif self.phase is Phase.STEPPING and (self._beside is None or self._beside.done()):
            self._beside = asyncio.get_running_loop().create_task(self._cut_off_if_ended())

    async def _cut_off_if_ended(self) -> None:
        row = await self._patiently(lambda: self._crew.store.get(self.pid))
        if row is None or row.terminated:
            self._cut_off()  # the thread goes on; the slot is free

    def _cut_off(self) -> None:
        if self._task is not None and self.phase is Phase.STEPPING and not self._task.cancelling():
            self._task.cancel("killed")

    def drain(self) -> None:
        """The worker stops: give the process up after the step that runs now."""
        if self._process is not None:
            self._process.stop.set()
        if self.suspended and self._task is not None:
            self._task.cancel()  # its program does not end by itself
        if self.phase is Phase.LINGERING:
            self._rouse()

    def child_ended(self, pid: int) -> None:
        """A process that this one may wait for has ended (a broadcast said so)."""
        self._outstanding.discard(pid)
        if self._may_go_on or (self._process is not None and self._process.expected):
            self._rouse()  # signals may have come meanwhile: the store knows

    def look(self) -> None:
        """Somebody says that nothing is left to wait for: ask the store."""
        self._told = True
        self._rouse()

    def ready(self) -> None:
        """The store has counted down the last thing it waited for."""
        self._counted_down = True
        self._rouse()

    @property
    def _may_go_on(self) -> bool:
        """Nothing is left to wait for, as far as is known here."""
        process = self._process
        more = process is not None and bool(process.record.due is not None or process.expected)
        return self._counted_down or not (self._outstanding or more)

    @property
    def _in_the_way(self) -> bool:
        """Another process is to be at work here alone: this one goes on elsewhere after its step."""
        return self._crew.slots.kept and not self._alone

    @property
    def _in_coroutine(self) -> bool:
        """A step is running that can be cancelled (a blocking one cannot: it ends by itself)."""
        return self.phase is Phase.STEPPING and self._process is not None and self._process.record.cancellable

    # The life under one claim

    async def run(self) -> None:
        """Until the process ends, is released, or the claim is lost. Never raises but CancelledError."""
        self._task = asyncio.current_task()
        try:
            if (not self._alone or await self._room()) and await self._load():
                await self._steps()
        except Fenced:
            if self._intent is None:  # else it was taken away to be paused or killed
                _log.warning(
                    "process %s: the claim was lost (fenced); dropped", self.pid, extra=self._scribe.facts
                )
        except Restored:
            _log.warning(
                "process %s: the store was put back; begun anew from what it knows",
                self.pid,
                extra=self._scribe.facts,
            )
            await self._begin_anew()
        except InDoubt:
            _log.warning(
                "process %s: its last step may be committed or not; begun anew",
                self.pid,
                extra=self._scribe.facts,
            )
            await self._begin_anew()
        except Unmet as error:
            _log.warning(
                "process %s: its step needed the store (%s); begun anew",
                self.pid,
                error,
                extra={**self._scribe.facts, "error": type(error).__name__},
            )
            await self._begin_anew(self._pids_come())
        except StoreClosed:
            _log.warning(
                "process %s: this worker has closed its store; another one goes on with it",
                self.pid,
                extra=self._scribe.facts,
            )
        except Exception as error:  # ours, not the user's: nobody may wait for ever because of it
            await self._failed(error)
        finally:
            self.phase = Phase.DONE
            if self._beside is not None:
                await asyncio.gather(self._beside, return_exceptions=True)
            self.settled.set()
            self._crew.unwatch(self, self._watching)
            self._no_longer_alone()
            if self._has_slot:
                self._crew.slots.give()

    async def _failed(self, error: Exception) -> None:
        with contextlib.suppress(Fenced, PersistenceError):
            if is_temporary(error):
                _log.exception(
                    "process %s: the engine failed in passing; begun anew",
                    self.pid,
                    extra={**self._scribe.facts, "error": type(error).__name__},
                )
                with Patience(self._crew, self.pid, "the engine failed") as patience:
                    await asyncio.sleep(patience.after(error) + AGAIN_SECONDS)
                await self._give_up(always=True)
            else:
                _log.exception(
                    "process %s: the engine failed; it is paused",
                    self.pid,
                    extra={**self._scribe.facts, "error": type(error).__name__},
                )
                await self._hold(f"{HELD}{type(error).__name__}: {words_of(error)}")

    async def _room(self) -> bool:
        """Wait until nothing else is at work here: this one is suspected of killing its workers. False: it
        did not come to that, and another worker gets it."""
        alone = self._crew.slots.keep()
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        self.phase = Phase.LINGERING
        alone.add_done_callback(lambda _: self._rouse())
        timer = loop.call_later(ROOM_SECONDS, self._rouse)
        try:
            if not (self._intent or self._crew.draining):
                await self._wake
        finally:
            timer.cancel()
            self.phase = Phase.LOADING
        if alone.done() and self._intent is None and not self._crew.draining:
            self._trial = loop.call_later(ALONE_SECONDS, self._no_longer_alone)
            return True
        await self._give_up(always=True)
        return False

    def _no_longer_alone(self) -> None:
        if self._alone:
            self._alone = False
            self._crew.slots.open()
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None

    async def _load(self) -> bool:
        """Restore the process; one that cannot be restored is paused with the reason, never lost.

        What fails in passing is tried again.
        """
        with Patience(self._crew, self.pid, "it cannot be loaded now") as patience:
            while True:
                try:
                    await self._restore()
                except (UnknownTarget, UnreadableCheckpoint, InvalidDefinition, Unreadable) as error:
                    if not isinstance(error, UnloadableNow) and not is_temporary(error):
                        _log.error(
                            "process %s cannot be loaded, paused: %s",
                            self.pid,
                            error,
                            extra={**self._scribe.facts, "error": type(error).__name__},
                        )
                        await self._hold(f"{UNLOADABLE}{error}")
                        return False
                    await self._rest(patience.after(error))
                else:
                    return True
                if (self._intent is not None or self._crew.draining) and await self._give_up():
                    return False

    async def _restore(self) -> None:
        cls = await self._crew.load_class(self._claim.row.class_path)
        with loading_nothing(), met_unreadable() as unread:  # an import would hold up all others
            opened = checkpoint.Opened(cls, self._claim)
        if unread:
            opened = await self._crew.stepper.aside(checkpoint.Opened, cls, self._claim)
        if opened.foreign:
            await self._crew.stepper.aside(opened.migrate)
        self._process = opened.execution(self._crew)
        await self._look_at(opened.children)
        self._claim = self._scribe.claim = Claim(self._claim.row, self._claim.inputs, None)

    async def _hold(self, reason: str) -> None:
        """Pause the process as it was after its last commit; `play` tries again."""
        chosen = Selection(pids=[self.pid])
        reason = storable(reason)
        await self._durably(
            lambda: self._crew.store.control(Control.PAUSE, chosen, author="quince", reason=reason)
        )
        await self._give_up()

    async def _patiently(self, read: Callable[[], T]) -> T:
        """The answer of the store, however long it is away."""
        return await until_store_answers(self._crew, self.pid, lambda: aside(read))

    async def _look_at(self, children: Sequence[ChildProcess]) -> ProcessRow | None:
        """Learn how they stand, however long the store is away; and how this process stood then."""
        if not children:
            return None
        if self._process is not None:
            for child in children:
                child.read_by(self._process.outputs_of)
        load = self._crew.load_children
        return await until_store_answers(self._crew, self.pid, lambda: load(children, self.pid))

    async def _steps(self) -> None:
        assert self._process is not None
        process = self._process
        while True:
            if (
                self._intent is not None or self._crew.draining or self._in_the_way
            ) and await self._give_up():
                return
            if not await self._fetch(process):
                return
            end = await self._take_step(process)
            if end is None:  # killed in the middle
                await self._give_up()
                return
            if isinstance(end.error, Unreadable):  # whoever brings back what is missing can play it
                if is_temporary(end.error):
                    raise end.error
                await self._hold(f"{HELD}{words_of(end.error)}")
                return
            outcome = await self._commit_step(process, end)
            if self._state in TERMINAL:
                return
            if (outcome.intent or outcome.paused or self._crew.draining) and await self._give_up():
                return
            if outcome.awaiting:
                if not await self._linger(process):
                    return
            elif process.record.awaits and not await self._met_ends(process.record.awaits):
                return
            process = await self._successor(process)

    async def _successor(self, process: Execution) -> Execution:
        """The process that takes the next step: itself, or, checked, what its checkpoint gave back."""
        if self._scribe.copy is None:
            return process
        (self._process, children), self._scribe.copy = self._scribe.copy, None
        await self._look_at(children)
        if not all(child.known for child in children):
            raise Restored
        return self._process

    async def _fetch(self, process: Execution) -> bool:
        """Read the signals that it has waited for. False: they cannot be read, and it is paused."""
        if process.expected:
            rows = await self._patiently(lambda: self._crew.store.signals(self.pid))
            try:
                process.arrived = arrivals(process.expected, rows)
            except Unreadable as error:
                if is_temporary(error):
                    raise
                await self._hold(f"{HELD}a signal cannot be read: {error}")
                return False
        return True

    async def _take_step(self, process: Execution) -> StepEnd | None:
        self.phase = Phase.STEPPING
        try:
            with speaking(self._scribe.facts, process.label):
                end = await self._crew.stepper.step(process)
            if process.record.unmet is not None:
                raise Unmet(process.record.unmet)
            return end
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._intent is not Control.KILL or task is None:
                raise  # this worker stops; that says nothing about the process
            task.uncancel()
            return None
        finally:
            self.phase = Phase.COMMITTING

    # Commits

    async def _commit_step(self, process: Execution, end: StepEnd) -> StepOutcome:
        step = self._scribe.step(process, end)
        before = self._state
        self._counted_down = self._told = False
        self._outstanding, self._watching = set(step.awaits), step.awaits
        self._crew.watch(self, step.awaits)  # before the commit: an end that comes right after it is heard
        try:
            outcome = await self._commit(step)
        except PersistenceError as error:  # this step cannot be written, ever; the error can
            await self._check_history(error)
            step = self._scribe.excepted(process, error, outputs=False)
            outcome = await self._commit(step)
        self._no_longer_alone()  # it got on: it is not what kills
        self._state = outcome.state or step.state  # killed, if that was accepted first
        if step.checkpoint is not None:
            self._saved = hash(step.checkpoint)
        if self._state is not before or step.events:
            self._crew.outbox.announce(change_of(self.pid, before, self._state))
        if self._state is step.state:
            self._crew.outbox.enqueue(step.children)
        if not outcome.awaiting:
            self._crew.unwatch(self, step.awaits)
        return outcome

    async def _check_history(self, refused: PersistenceError) -> None:
        """A step is refused: is it because the store does not know the steps before it any more?

        Raises:
            PutBack: so it is, or its children have pids that were given to others.
        """
        if isinstance(refused, PidTaken):
            self._crew.store.forget_pids()
            raise Restored from refused
        if hash(await self._patiently(lambda: self._crew.store.checkpoint(self.pid))) != self._saved:
            raise Restored from refused

    async def _commit(self, step: Step) -> StepOutcome:
        return self._met(await self._durably(lambda: self._crew.store.commit(step), once=True))

    async def _durably(self, write: Callable[[], Future[T]], *, once: bool = False) -> T:
        """The outcome of a write, however long the store is away.

        Raises:
            InDoubt: it must not be written twice (`once`), and may have been written.
        """

        async def attempt() -> T:
            try:
                return await landed(write())
            except StoreUnavailable as error:
                if once and error.in_doubt:
                    raise InDoubt from error
                raise

        return await until_store_answers(self._crew, self.pid, attempt)

    def _met(self, outcome: StepOutcome) -> StepOutcome:
        if outcome.fenced:
            raise Fenced
        self._crew.wake(outcome)
        return outcome

    # Waiting and giving up

    async def _begin_anew(self, when: Awaitable[object] | None = None) -> None:
        """Hand the process, as it was before the step that runs, to whoever takes it, also this worker."""
        with contextlib.suppress(Fenced, StoreClosed):
            if when is not None:
                await when
            await self._give_up(always=True)

    async def _pids_come(self) -> None:
        """Wait until the store gives pids again."""
        await self._patiently(lambda: self._crew.store.try_write(within=LOOP_SECONDS))

    async def _give_up(self, *, always: bool = False) -> bool:
        """Release the claim; intents are applied with it. False (not with `always`): the store says to
        go on."""
        release = self._crew.store.release
        outcome: StepOutcome = await self._durably(
            lambda: release(self.pid, self._crew.id, self.epoch, always=always)
        )
        self._met(outcome)
        if outcome.kept:
            return False
        if outcome.state is not None and (outcome.paused or outcome.state in TERMINAL):
            self._crew.outbox.announce(change_of(self.pid, self._state, outcome.state))
        elif outcome.ready:
            self._crew.outbox.enqueue([self._claim.row])
        return True

    async def _linger(self, process: Execution) -> bool:
        """Wait a while in memory; then give the process up. True: go on with the next step."""
        awaited = list(process.record.awaits)
        due = process.record.due
        try:
            await self._idle(
                self._patience(due, deadline=process.record.deadline), self._may_go_on or self._told
            )
        finally:
            self._crew.unwatch(self, [child.pid for child in awaited])
        if due is not None and due <= time.time():
            await self._durably(lambda: self._crew.store.wake(self.pid, self._crew.id, self.epoch))
        if (not self._may_go_on or self._intent is not None or self._crew.draining) and await self._give_up():
            return False
        if not await self._met_ends(awaited):
            return False
        if not await self._crew.slots.retake():
            await self._give_up(always=True)
            return False
        self._has_slot = True
        return True

    async def _idle(self, seconds: float, roused: bool = False) -> None:
        """Be without a slot for so long, or until somebody rouses this runner."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(seconds, self._rouse)
        before, self.phase = self.phase, Phase.LINGERING
        self._crew.slots.give()
        self._has_slot = False
        try:
            if not (roused or self._intent or self._crew.draining):
                await self._wake
        finally:
            timer.cancel()
            self.phase = before

    async def _rest(self, seconds: float) -> None:
        """The same, and take a slot again."""
        await self._idle(seconds)
        await self._crew.slots.retake()
        self._has_slot = True

    async def _met_ends(self, awaited: Sequence[ChildProcess]) -> bool:
        """Read how the children ended. False: not all have (a broadcast was not true), and the process
        is given up to wait on.

        Raises:
            PutBack: there is nothing to wait for, and not all have ended.
            Fenced: it was paused or killed while it waited; who did so has not waited for this worker.
        """
        own = await self._look_at(awaited)
        if own is not None and (own.owner, own.epoch) != (self._crew.id, self.epoch):
            raise Fenced
        if all(child.terminated for child in awaited):
            return True
        if await self._give_up():
            return False
        await self._look_at(awaited)
        if not all(child.terminated for child in awaited):
            raise Restored
        return True

    def _patience(self, due: float | None, *, deadline: bool) -> float:
        """Seconds to stay in memory: none for a timer that fires later than the linger."""
        if due is None:
            return self._crew.linger
        until = max(0.0, due - time.time())
        if deadline:
            return min(until, self._crew.linger)
        return until if until <= self._crew.linger else 0.0

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
