"""One process where its steps run: loaded from what the store holds, stepped, and written down again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec.structs import replace

from quince.errors import InvalidDefinition, StepTimedOut, UnknownTarget, UnloadableNow, UnreadableCheckpoint
from quince.hosts.failed_steps import FailedSteps, Failure
from quince.hosts.failures import AwaitsAgain, CannotGoOn, Restored, StepFailed, Stopped, Unmet
from quince.hosts.interfaces import Engine
from quince.hosts.protocol import Kind, Terms
from quince.hosts.step_writer import StepWriter
from quince.hosts.stepper import StepEnd, Stepper
from quince.logs import speaking
from quince.processes import checkpoint
from quince.processes.child import ChildProcess
from quince.processes.definition import Definition
from quince.processes.execution import Execution
from quince.processes.retries import policy_of
from quince.processes.running_step import RunningStep
from quince.processes.signals import arrivals
from quince.processes.spans import under
from quince.processes.telling import teller
from quince.text import words_of
from quince_persistence.clock import now
from quince_persistence.codec import Unreadable, loading_nothing, met_unreadable
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.records import Claim, Result, State
from quince_persistence.records.steps import RanStep, Step

TOLD_SECONDS = 1.0
"""Seconds after which the steps of a process that has not waited are in its history."""


class SteppedProcess:
    """One process under one claim.

    Attributes:
        created: When it was.
        execution: What runs it, once it is loaded.
        label: The name of the step that runs, or ran last.
        seconds: How long the last step took.
        stopping: The process, or its worker, is to stop: its step may see that.
    """

    def __init__(self, claim: Claim, engine: Engine, stepper: Stepper) -> None:
        row = claim.row
        self.pid = row.pid
        self.created = row.created
        self.execution: Execution | None = None
        self.label: str | None = row.step
        self.seconds = 0.0
        self._claim = claim
        self._engine = engine
        self._stepper = stepper
        self._facts: dict[str, object] = {
            "pid": row.pid, "class": row.class_path, "queue": row.queue, "worker": engine.id,
            "epoch": row.epoch,
        }  # fmt: skip
        self._writer = StepWriter(engine, claim, self._facts)
        self._failed = FailedSteps(engine, self._writer, stepper, self._facts, self._load_anew)
        self._attempt = row.attempt
        self._timed_out: StepTimedOut | None = None
        self._unread: Sequence[ChildProcess] = ()
        self._living: Sequence[ChildProcess] = ()
        self._lost: set[int] = set()
        self.stopping = False
        self._doomed = False
        self._ran: list[RanStep] = []
        self._waited = False

    async def load(self) -> Kind:
        """Load it, if that has not been done.

        Returns:
            What kind of host its steps belong into.

        Raises:
            CannotGoOn: as `step`.
        """
        execution = self.execution
        if execution is None:
            with speaking(self._facts, self.place):
                execution = await self._load()
        return kind_for(execution.definition)

    def doom(self) -> None:
        """It is to be killed: what has not begun need not begin."""
        self._doomed = True
        if self.execution is not None:
            self.execution.record.doomed = True

    def stop(self, stopping: bool) -> None:
        """Its step can see that it is to stop, or that it is not any more."""
        self.stopping = stopping
        if self.execution is not None:
            (self.execution.stop.set if stopping else self.execution.stop.clear)()

    def time_over(self) -> StepTimedOut | None:
        """The time of its step is over. None: that has ended meanwhile."""
        execution = self.execution
        if execution is None or (limit := execution.record.limit) is None:
            return None
        self._timed_out = StepTimedOut(limit, f"step {execution.record.function.__name__}")
        execution.record.doomed = True
        self.stop(True)
        return self._timed_out

    @property
    def timed(self) -> bool:
        """Its step runs, and has a limited time."""
        return self.execution is not None and self.execution.record.limit is not None

    @property
    def cancellable(self) -> bool:
        """Its step's own coroutine has begun: it may be cancelled."""
        return self.execution is not None and self.execution.record.cancellable

    def suspend(self, *, everything: bool = False) -> bool:
        """Stop its programs, if some run.

        Args:
            everything: Also those that are not made for it; else there must be none of these.
        """
        execution = self.execution
        return (
            self.cancellable and execution is not None and execution.programs.suspend(everything=everything)
        )

    def resume(self) -> None:
        """Let them go on."""
        if self.execution is not None:
            self.execution.programs.resume()

    def place(self) -> str | None:
        """Where it stands in its outline, as far as that is known."""
        return self.label if self.execution is None else self.execution.label()

    async def step(
        self, results: Sequence[Result] = (), overrun: Terms | None = None, span: str | None = None
    ) -> Step:
        """Run its next step, and write down what that did.

        Args:
            results: How processes stand, of which the caller knows that this one has waited for them.
            overrun: It has run, and had to be ended, since it took longer than this: nothing is run but what
                follows from that.
            span: Under which it runs, as a `traceparent`; None: nobody looks on.

        Raises:
            CannotGoOn: it cannot be loaded, or something that it needs cannot be read.
            AwaitsAgain, Fenced, Restored, Unmet: it is to be dropped, or begun anew.
            Stopped: it was doomed before the step began.
            CancelledError: the step was cut off.
        """
        with speaking(self._facts, self.place):
            fresh = self.execution is None
            execution = self.execution or await self._load()
            await self._read_ends(execution, results, fresh=fresh)
            await self._receive_signals(execution)
            if self._doomed:
                raise Stopped
            self.label = execution.label()
            with RunningStep(self.pid, self._engine).running():
                clock, began = now(), time.monotonic()
                work = self._stepped(execution) if overrun is None else self._ran_over(execution, overrun)
                step = await (work if span is None else under(span, work))
                self.seconds = time.monotonic() - began
            step = self._told(step, clock)
        self._attempt = step.attempt
        self._unread = [*execution.record.awaits, *self._living]
        if self._writer.copy is not None:
            (self.execution, self._unread), self._writer.copy = self._writer.copy, None
        if self.execution is not None and self.execution.definition.has_handlers:
            blob = self._claim.checkpoint if step.checkpoint is None else checkpoint.of_step(step)
            self._claim = Claim(self._claim.row, self._claim.inputs, blob)
        return step

    def _told(self, step: Step, began: float) -> Step:
        """It with the steps that have run lately, if it is time to have them in the history: with each wait
        and end, and after a second."""
        name = step.ran or self.label or "run"
        self._ran.append((name, round(began, 4), round(self.seconds, 4)))
        quick = now() - self._ran[0][1] < TOLD_SECONDS
        waited, self._waited = self._waited, step.state is not State.RUNNING
        if quick and step.state is State.RUNNING and not (waited or step.paused):
            return step
        ran, self._ran = self._ran, []
        return replace(step, history=ran)

    async def _stepped(self, execution: Execution) -> Step:
        try:
            end = await self._ended(execution)
        except BaseException:
            teller.close(execution, rest=True)
            raise
        teller.close(execution, rest=self._doomed)
        if execution.record.unmet is not None:
            raise Unmet(execution.record.unmet)
        if self._doomed and end.error is not None:
            raise Stopped
        if isinstance(end.error, Unreadable):
            if is_temporary(end.error):
                raise end.error
            raise CannotGoOn(words_of(end.error), passing=False)
        try:
            return self._writer.step(execution, end)
        except StepFailed as failed:
            self._writer.copy, error = None, failed.error
        function = execution.record.function
        name = getattr(function, "__name__", None) or self.label or "the step"
        failure = Failure(execution, error, policy_of(function), name, self.label, self._attempt + 1)
        return await self._failed.step(failure)

    async def _ended(self, execution: Execution) -> StepEnd:
        """How the step has ended; one whose time was over has failed with that, unless it has ended well."""
        try:
            end = await self._stepper.step(execution)
        except asyncio.CancelledError as error:
            if self._doomed or (self._timed_out is None and not self._stepper.foretold):
                raise
            self._stepper.go_on()
            end = StepEnd(error=error)
        if (limit := execution.record.limit) is not None:
            execution.record.limit = None
            if end.error is not None:  # what follows takes its time
                self._engine.under_terms(self.pid, execution.record.function.__name__, None, None)
        over, self._timed_out = self._timed_out, None
        if over is None or limit is None:
            return end
        self.stop(False)
        if end.error is None or isinstance(end.error, StepTimedOut):
            return end
        over.__cause__ = end.error
        return StepEnd(error=over.with_traceback(end.error.__traceback__))

    async def _ran_over(self, execution: Execution, limit: Terms) -> Step:
        error = StepTimedOut(limit.seconds or 0.0, f"step {limit.step}")
        policy = execution.definition.policy(limit.step)
        return await self._failed.step(
            Failure(execution, error, policy, limit.step, self.label, self._attempt + 1)
        )

    def excepted(self, error: BaseException) -> Step:
        """Its step broke off with this, and the process ends with it.

        Raises:
            CannotGoOn: it was not loaded yet.
        """
        if self.execution is None:
            raise CannotGoOn(words_of(error), passing=True, loading=True)
        reports = self.execution.record.reports
        return self._writer.excepted(self.execution, error, step=self.label, events=reports)

    async def _load(self) -> Execution:
        try:
            return await self._restore()
        except (UnknownTarget, UnreadableCheckpoint, InvalidDefinition, Unreadable) as error:
            if self._doomed:  # it was stopped in the middle of an import
                raise Stopped from error
            passing = isinstance(error, UnloadableNow) or is_temporary(error)
            importing = isinstance(error, UnknownTarget)
            raise CannotGoOn(str(error), passing=passing, loading=True, importing=importing) from error

    async def _load_anew(self) -> Execution:
        """As it was before the step, for the handler of that."""
        self.execution = None
        execution = await self._load()
        await self._read_ends(execution, ())
        return execution

    async def _restore(self) -> Execution:
        cls = await self._engine.load_class(self._claim.row.class_path)
        with loading_nothing(), met_unreadable() as unread:  # an import would hold up all others
            opened = checkpoint.Opened(cls, self._claim)
        if unread:
            opened = await self._stepper.aside(checkpoint.Opened, cls, self._claim)
        if opened.foreign:
            await self._stepper.aside(opened.migrate)
        execution = opened.execution(self._engine)
        before, execution.revision = execution.revision, self._engine.revision(self._claim.row.class_path)
        self._writer.earlier = before if before != execution.revision else None
        self._unread = opened.children
        self._writer.mentioned = {child.pid for child in opened.children}
        self._writer.claim = Claim(self._claim.row, self._claim.inputs, None)
        if not execution.definition.has_handlers:
            self._claim = self._writer.claim
        self.execution = execution
        self.stop(self.stopping)
        return execution

    async def _read_ends(
        self, execution: Execution, results: Sequence[Result], *, fresh: bool = False
    ) -> None:
        """Take in how the children ended that the process has in its context.

        Args:
            fresh: That is as the store has it: those that the store does not know were pruned.

        Raises:
            Restored: the store does not know them any more.
            AwaitsAgain: one of them was retried since the process was claimed.
        """
        children, self._unread, self._living = self._unread, (), ()
        if not children:
            return
        known = {result.row.pid: result for result in results}
        lacking = [child.pid for child in children if child.pid not in known]
        if lacking:
            found = await self._engine.ends(self.pid, [*lacking, self.pid])  # as it stands with them
            known |= {result.row.pid: result for result in found}
            own = known.pop(self.pid, None)
            if own is not None and own.row.awaiting:
                raise AwaitsAgain
        for child in children:
            child.read_by(execution.outputs_of)
            if child.pid in known:
                child.load(known[child.pid])
        lost = [child for child in children if not child.known]
        if not fresh and not self._lost.issuperset(child.pid for child in lost):
            raise Restored
        for child in lost:
            child.lose()
        self._lost.update(child.pid for child in lost)
        self._living = [child for child in children if child.known and not child.terminated]

    async def _receive_signals(self, execution: Execution) -> None:
        """Read the signals that it has waited for."""
        if not execution.expected:
            return
        rows = await self._engine.signals(self.pid)
        try:
            execution.arrived = arrivals(execution.expected, rows)
        except Unreadable as error:
            if is_temporary(error):
                raise
            raise CannotGoOn(f"a signal cannot be read: {error}", passing=False) from error


def kind_for(definition: Definition) -> Kind:
    """Of the hosts into which processes of a class belong."""
    if definition.in_threads:
        return Kind.THREADS
    return Kind.COROUTINES if definition.all_coroutines else Kind.ALONE
