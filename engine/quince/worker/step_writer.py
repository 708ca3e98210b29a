"""What a step did, as the store takes it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from quince.errors import ClaimLost, Unrestorable
from quince.processes import checkpoint
from quince.processes.child import ChildProcess
from quince.processes.error_record import ErrorRecord, passed_user_code
from quince.processes.execution import Execution
from quince.processes.port_values import missing_outputs
from quince.processes.spec import MISSING_OUTPUT, SUCCESS, ExitCode
from quince.text import storable
from quince.worker import checkpoint_check as roundtrip
from quince.worker.interfaces import Fenced, Owner
from quince.worker.stepper import StepEnd
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.codec import check_step
from quince_persistence.codec.temporary_errors import is_temporary
from quince_persistence.errors import Unsaveable
from quince_persistence.records import Claim, State, Step

_log = StructuredLogger("quince.worker")


class StepWriter:
    """Writes down what the steps of one process did under one claim.

    Args:
        facts: What log records about the process carry.

    Attributes:
        copy: What the last checkpoint gave back, and the children that it mentions, where checkpoints
            are round-tripped; the one that takes it puts None there.
    """

    def __init__(self, owner: Owner, claim: Claim, facts: Mapping[str, object]) -> None:
        self.claim = claim
        self.copy: tuple[Execution, list[ChildProcess]] | None = None
        self._owner = owner
        self._facts = facts

    def step(self, execution: Execution, end: StepEnd) -> Step:
        """The step that has ended so; what cannot be saved makes the process excepted.

        Raises:
            Fenced: the step itself found that the claim was lost.
        """
        try:
            if isinstance(end.error, ClaimLost):
                raise Fenced
            if end.error is not None:
                return self.excepted(execution, end.error)
            if end.code is not None:
                return self._finished(execution, end.code)
            return self._goes_on(execution)
        except (Unsaveable, Unrestorable) as error:
            return self.excepted(execution, error)
        except Exception as error:  # of a type's functions for the codec, a validator, a class of values
            if is_temporary(error) or not passed_user_code(error):
                raise
            return self.excepted(execution, error)

    def excepted(self, execution: Execution, error: BaseException, *, outputs: bool = True) -> Step:
        """The process ends with this error."""
        self._owner.excepted(execution.pid, error)
        story = ErrorRecord.of(error)
        _log.warning(
            "process %(pid)s excepted: %(error)s: %(reason)s",
            **self._facts,
            step=execution.label(),
            error=story.type_name,
            reason=story.text,
        )
        kept: bytes | None = None
        with contextlib.suppress(Exception):  # they may be what has failed
            kept = checkpoint.save_outputs(execution) if outputs else None
        return self._step(
            execution,
            State.EXCEPTED,
            outputs=kept,
            error=story.encode(),
            exit_message=f"{story.type_name}: {story.text}"[:500],
        )

    def _goes_on(self, execution: Execution) -> Step:
        record = execution.record
        waits = bool(record.awaits or execution.expected) or record.due is not None
        views: list[Any] = []
        blob = checkpoint.save(execution, views)
        check_step(record.size + len(blob or b""), "what this step commits")
        used, execution.used = execution.used, []
        if blob is not None and (self._owner.checked or views):  # what shares memory does so no longer
            self.copy = roundtrip.restored(execution, blob, self.claim, self._owner)
        return self._step(
            execution,
            State.WAITING if waits else State.RUNNING,
            step=execution.label(),
            checkpoint=blob,
            children=record.children,
            awaits=[child.pid for child in record.awaits],
            due=record.due,
            signals=[one.name for one in execution.expected],
            deadline=record.deadline,
            used=used,
            sends=record.sends,
        )

    def _finished(self, execution: Execution, code: ExitCode) -> Step:
        if code.status == SUCCESS.status:
            lack = missing_outputs(execution.definition.spec, execution.outputs)
            if lack is not None:
                code = ExitCode(MISSING_OUTPUT, lack)
        outputs = checkpoint.save_outputs(execution)
        check_step(execution.record.size + len(outputs), "what this step commits")
        return self._step(
            execution,
            State.FINISHED,
            outputs=outputs,
            exit_status=code.status,
            exit_message=None if code.message is None else storable(code.message),
            children=execution.record.children,
            sends=execution.record.sends,
        )

    def _step(self, execution: Execution, state: State, **fields: Any) -> Step:
        row = self.claim.row
        return Step(
            row.pid,
            self._owner.id,
            row.epoch,
            state,
            status=None if execution.status is None else storable(str(execution.status)),
            events=execution.record.reports,
            **fields,
        )
