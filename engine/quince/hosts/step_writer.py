"""What a step did, as the store takes it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from quince.errors import ClaimLost, Unrestorable
from quince.hosts import checkpoint_check as roundtrip
from quince.hosts.failures import Fenced, StepFailed
from quince.hosts.interfaces import Engine
from quince.hosts.stepper import StepEnd
from quince.on_hold import HELD
from quince.processes import checkpoint
from quince.processes.child import ChildProcess, collect_references
from quince.processes.error_record import ErrorRecord, passed_user_code
from quince.processes.execution import Execution
from quince.processes.port_values import missing_outputs
from quince.processes.spec import MISSING_OUTPUT, SUCCESS, ExitCode
from quince.text import storable
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec import check_step, fold
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.errors import Unsaveable
from quince_persistence.records import Claim, NewEvent, NewProcess, State
from quince_persistence.records.steps import Step

_log = StructuredLogger("quince.worker")

TRACEBACK = 4000
"""Characters of the traceback of a failed attempt that its history keeps: the last ones."""


class StepWriter:
    """Writes down what the steps of one process did under one claim.

    Args:
        facts: What log records about the process carry.

    Attributes:
        copy: What the last checkpoint gave back, and the children that it mentions, where checkpoints
            are round-tripped; the one that takes it puts None there.
        earlier: The revision that ran before under another claim, if another one runs now.
        mentioned: Processes that its checkpoints so far have mentioned.
    """

    def __init__(self, engine: Engine, claim: Claim, facts: Mapping[str, object]) -> None:
        self.claim = claim
        self.copy: tuple[Execution, list[ChildProcess]] | None = None
        self.earlier: str | None = None
        self.mentioned: set[int] = set()
        self._engine = engine
        self._facts = facts

    def step(self, execution: Execution, end: StepEnd) -> Step:
        """The step that has ended so.

        Raises:
            StepFailed: it has raised something, or what it did cannot be saved.
            Fenced: the step itself found that the claim was lost.
        """
        try:
            if isinstance(end.error, ClaimLost):
                raise Fenced
            if end.error is not None:
                raise StepFailed(end.error)
            if end.code is not None:
                return self.finished(execution, end.code)
            return self._goes_on(execution)
        except (Unsaveable, Unrestorable) as error:
            raise StepFailed(error) from error
        except (Fenced, StepFailed):
            raise
        except Exception as error:  # of a type's functions for the codec, a validator, a class of values
            if is_temporary(error) or not passed_user_code(error):
                raise
            raise StepFailed(error) from error

    def excepted(
        self, execution: Execution, error: BaseException, *, step: str | None, events: Sequence[NewEvent]
    ) -> Step:
        """The process ends with this error.

        Args:
            step: In which it does not end well.
        """
        self._engine.excepted(execution.pid, error)
        story, kept_error = ErrorRecord.kept(error)
        _log.warning(
            "process %(pid)s excepted: %(error)s: %(reason)s",
            **self._facts,
            step=execution.label(),
            error=story.type_name,
            reason=story.text,
        )
        kept: bytes | None = None
        with contextlib.suppress(Exception):  # they may be what has failed
            kept = checkpoint.save_outputs(execution)
        return self.stands(
            execution,
            State.EXCEPTED,
            events=events,
            step=step,
            outputs=kept,
            error=kept_error,
            exit_message=f"{story.type_name}: {story.text}"[:500],
        )

    def _goes_on(self, execution: Execution) -> Step:
        record = execution.record
        waits = bool(record.awaits or execution.expected) or record.due is not None
        views: list[Any] = []
        with collect_references() as mentioned:
            blob = checkpoint.save(execution, views)
        check_step(record.size + len(blob or b""), "what this step commits")
        used, execution.used = execution.used, []
        if blob is not None and (self._engine.checked or views):  # what shares memory does so no longer
            self.copy = roundtrip.restored(execution, blob, self.claim, self._engine)
        if execution.over and not waits:  # its end needs no step of its own
            return self.finished(execution, SUCCESS)
        return self.stands(
            execution,
            State.WAITING if waits else State.RUNNING,
            step=execution.label(),
            checkpoint=blob,
            children=record.children,
            limits=record.limits,
            awaits=[child.pid for child in record.awaits],
            due=record.due,
            signals=[one.name for one in execution.expected],
            deadline=record.timer == "signals",
            wait_any=bool(record.first),
            wait_due=record.timer == "all",
            kills=record.kills,
            used=used,
            sends=record.sends,
            refers=self._strangers(mentioned, record.children),
        )

    def _strangers(self, mentioned: Sequence[int], children: Sequence[NewProcess]) -> Sequence[int]:
        """Those that are neither children nor have been mentioned before; they are not to be pruned."""
        fresh = dict.fromkeys(pid for pid in mentioned if pid not in self.mentioned)
        self.mentioned.update(fresh)
        own = {child.pid for child in children} if fresh else ()
        return [pid for pid in fresh if pid not in own]

    def finished(self, execution: Execution, code: ExitCode) -> Step:
        """The process ends with this exit code."""
        if code.status == SUCCESS.status:
            lack = missing_outputs(execution.definition.spec, execution.outputs)
            if lack is not None:
                code = ExitCode(MISSING_OUTPUT, lack)
        outputs = checkpoint.save_outputs(execution)
        check_step(execution.record.size + len(outputs), "what this step commits")
        return self.stands(
            execution,
            State.FINISHED,
            outputs=outputs,
            exit_status=code.status,
            exit_message=None if code.message is None else storable(code.message),
            children=execution.record.children,
            limits=execution.record.limits,
            kills=execution.record.kills,
            sends=execution.record.sends,
        )

    def stands(
        self,
        execution: Execution,
        state: State,
        *,
        events: Sequence[NewEvent] | None = None,
        **fields: Any,
    ) -> Step:
        """A record of where it stands now.

        Args:
            events: For its history; what was reported, if nothing else is said.
        """
        row, contents = self.claim.row, execution.record.contents
        events = execution.record.reports if events is None else events
        for name in ("checkpoint", "outputs"):
            if fields.get(name) is not None:
                fields[name] = fold(fields[name], contents)
        if self.earlier is not None:
            change = {"from": self.earlier, "to": execution.revision}
            events, self.earlier = [NewEvent("revision", change), *events], None
        return Step(
            row.pid,
            self._engine.id,
            row.epoch,
            state,
            status=None if execution.status is None else storable(str(execution.status)),
            events=events,
            revision=execution.revision,
            run=execution.record.run,
            contents=contents,
            progress=execution.record.progress,
            ran=getattr(execution.record.function, "__name__", None),
            keep=execution.cls.keep_checkpoints is True,
            **fields,
        )


def refused(step: Step, error: BaseException, *, place: str | None, pause: bool) -> Step:
    """In the place of a step that the store never takes, or that nobody can run: the process ends
    with the error, or is paused as it was before that step.

    Args:
        place: What the row says of where it stands.
    """
    story, kept = ErrorRecord.kept(error)
    if not pause:
        return Step(
            step.pid,
            step.owner,
            step.epoch,
            State.EXCEPTED,
            status=step.status,
            events=step.events,
            revision=step.revision,
            run=step.run,
            progress=step.progress,
            error=kept,
            exit_message=f"{story.type_name}: {story.text}"[:500],
        )
    reason = f"{HELD}its step failed: {story.line}"
    return Step(
        step.pid,
        step.owner,
        step.epoch,
        State.RUNNING,
        step=place,
        events=[
            *step.events,
            failed_attempt(story, f"its step failed: {story.line}; it is paused", held=reason),
        ],
        revision=step.revision,
        run=step.run,
        error=kept,
        paused=True,
        reason=reason,
    )


def failed_attempt(story: ErrorRecord, text: str, **more: Any) -> NewEvent:
    """The line of history of a step that has failed."""
    body = {
        "text": text,
        "error": story.type_name,
        "words": story.line,
        "traceback": storable(story.traceback[-TRACEBACK:]),
        **more,
    }
    return NewEvent("attempt", body, "quince")
