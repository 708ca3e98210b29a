"""What follows when a step has failed: it is tried again, its process ends, or is put aside for a person."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quince.errors import ClaimLost, InvalidWait, UnexpectedReturn
from quince.hosts.failures import Fenced, Unmet
from quince.hosts.interfaces import Engine
from quince.hosts.step_writer import StepWriter, failed_attempt
from quince.hosts.stepper import Stepper
from quince.moments import span
from quince.on_hold import HELD
from quince.processes import checkpoint
from quince.processes.error_record import ErrorRecord
from quince.processes.execution import Execution
from quince.processes.retries import ON_FAILURE, Retry, StepPolicy, is_final
from quince.processes.spec import ExitCode
from quince_messaging.structured_log import StructuredLogger
from quince_persistence import clock
from quince_persistence.records import NewEvent, State
from quince_persistence.records.steps import Step

_log = StructuredLogger("quince.worker")


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        execution: That failed; nothing of it counts but its reports.
        policy: What was said of the step.
        name: Of the step, or the test.
        label: Where the process stands, as its row says it.
        number: It is the first attempt, the second, ...
    """

    execution: Execution
    error: BaseException
    policy: StepPolicy
    name: str
    label: str | None
    number: int


class FailedSteps:
    """Decides for one process under one claim.

    Args:
        load: Makes the process anew, as it was before the step.
    """

    def __init__(
        self,
        engine: Engine,
        writer: StepWriter,
        stepper: Stepper,
        facts: Mapping[str, object],
        load: Callable[[], Awaitable[Execution]],
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._stepper = stepper
        self._facts = facts
        self._load = load

    async def step(self, failure: Failure) -> Step:
        """What is committed in the place of what the step would have done."""
        answer, fresh, kept = None, None, None
        if failure.policy.handler is not None and not is_final(failure.error):
            fresh = await self._load()
            try:
                answer = await self._asked(fresh, failure)
                if isinstance(answer, ExitCode):
                    return self._ends(failure, fresh, answer)
                kept = checkpoint.save(fresh)
            except (Exception, CancelledError) as error:
                if isinstance(error, CancelledError):
                    if not self._stepper.is_own(fresh):
                        raise
                    self._stepper.go_on()
                if fresh.record.unmet is not None:
                    raise Unmet(fresh.record.unmet) from error
                if isinstance(error, ClaimLost):
                    raise Fenced from error
                return self._gives_up(failure, error, None, None, fresh.record.reports)
        retry = answer if isinstance(answer, Retry) else failure.policy.retry
        if self._goes_on(failure, answer, retry):
            assert retry is not None
            return self._again(failure, retry, kept, _reports(fresh))
        return self._gives_up(
            failure,
            failure.error,
            kept,
            answer,
            _reports(fresh),
            of=None if retry is None else retry.attempts,
        )

    async def _asked(self, fresh: Execution, failure: Failure) -> Any:
        """What the handler says, checked.

        Raises:
            Exception: whatever it raises; UnexpectedReturn, InvalidWait: it does what it cannot.
        """
        handler = str(failure.policy.handler)
        answer = await self._stepper.handle(fresh, getattr(fresh.cls, handler), failure.error)
        record = fresh.record
        if record.children or record.awaits or record.sends or record.kills or record.due is not None:
            raise InvalidWait(
                f"{fresh.name}.{handler}: a handler changes the context and says what is to be done; it "
                "submits nothing, sends nothing and waits for nothing"
            )
        if answer is None or isinstance(answer, Retry) or answer in ("retry", *ON_FAILURE):
            return answer
        if isinstance(answer, (ExitCode, int)) and not isinstance(answer, bool):
            return fresh.exit_code(None, answer)
        raise UnexpectedReturn(
            f"{fresh.name}.{handler} returned {answer!r}: a handler returns None, 'retry', a Retry, 'fail', "
            "'pause' or an exit code"
        )

    @staticmethod
    def _goes_on(failure: Failure, answer: Any, retry: Retry | None) -> bool:
        if retry is None or answer in ON_FAILURE or failure.number >= retry.attempts:
            return False
        return not is_final(failure.error) and (answer is not None or retry.takes(failure.error))

    def _again(self, failure: Failure, retry: Retry, kept: bytes | None, said: Sequence[NewEvent]) -> Step:
        pause = retry.pause(failure.number)
        due = clock.now() + pause
        then = f"next in {span(pause)}" if pause else "next at once"
        return self._writer.stands(
            failure.execution,
            State.WAITING,
            events=[*self._events(failure, retry.attempts, then, due=due), *said],
            step=failure.label,
            checkpoint=kept,
            due=due,
            attempt=failure.number,
        )

    def _gives_up(
        self,
        failure: Failure,
        error: BaseException,
        kept: bytes | None,
        answer: Any,
        said: Sequence[NewEvent] = (),
        of: int | None = None,
    ) -> Step:
        """The process ends with the error, or is paused as it was before the step.

        Args:
            of: How many attempts there were to be; those of the step, if nothing else is said.
        """
        tried = of or failure.policy.attempts
        if error is not failure.error and error.__context__ is None:
            error.__context__ = failure.error
        if self._on_failure(failure, answer) == "fail":
            events = failure.execution.record.reports
            if failure.policy.attempts > 1:
                events = [*self._events(failure, tried, "it is not tried again"), *said]
            return self._writer.excepted(failure.execution, error, step=failure.label, events=events)
        story, kept_error = ErrorRecord.kept(error)
        reason = f"{HELD}step {failure.name} failed{_times(failure)}: {story.line}"
        return self._writer.stands(
            failure.execution,
            State.RUNNING,
            events=[*self._events(failure, tried, "it is paused", held=reason), *said],
            step=failure.label,
            checkpoint=kept,
            error=kept_error,
            paused=True,
            reason=reason,
        )

    def _ends(self, failure: Failure, fresh: Execution, code: ExitCode) -> Step:
        """The handler ends it with this exit code."""
        then = f"its handler ends it with exit status {code.status}"
        fresh.record.run, fresh.record.progress = (
            failure.execution.record.run,
            failure.execution.record.progress,
        )
        fresh.record.reports[:0] = self._events(failure, failure.policy.attempts, then)
        return self._writer.finished(fresh, code)

    def _on_failure(self, failure: Failure, answer: Any) -> str:
        """`fail` or `pause`: as the handler says, or the step, the submission, the class, the workspace."""
        if answer in ON_FAILURE:
            return str(answer)
        execution = failure.execution
        return (
            failure.policy.on_failure
            or execution.row.options.on_failure
            or execution.definition.on_failure
            or self._engine.on_failure
        )

    def _events(self, failure: Failure, of: int, then: str, **more: Any) -> list[NewEvent]:
        """The reports of the attempt, and how it ended."""
        story = ErrorRecord.of(failure.error)
        of = max(of, failure.number)
        which = f"attempt {failure.number} of {of} failed" if of > 1 else "it failed"
        text = f"{failure.name}: {which}: {story.line}; {then}"
        _log.warning("process %(pid)s: %(reason)s", **self._facts, step=failure.name, reason=text)
        event = failed_attempt(story, text, step=failure.name, attempt=failure.number, of=of, **more)
        return [*failure.execution.record.reports, event]


def _reports(fresh: Execution | None) -> Sequence[NewEvent]:
    return () if fresh is None else fresh.record.reports


def _times(failure: Failure) -> str:
    return f" {failure.number} times" if failure.number > 1 else ""
