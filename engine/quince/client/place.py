"""Putting processes on another queue, or giving them another priority, after they were submitted."""

from __future__ import annotations

from typing import Any

from quince.client.control import Answer, asked_by
from quince.client.notify import notify_retried
from quince.errors import InvalidInput
from quince.processes.fitting import fitted
from quince.workspace.workspace import Workspace
from quince_messaging.limits import check_priority, check_queue
from quince_persistence.records import OWN_QUEUE, ProcessRow, Selection
from quince_persistence.records.controls import ControlOutcome

SET = "set"


def place(
    workspace: Workspace,
    selection: Selection,
    *,
    queue: str | None = None,
    priority: int | None = None,
    author: str | None = None,
) -> list[Answer]:
    """Change the queue or the priority of those of a selection, in one transaction. Durable on return.

    Args:
        queue: Which workers run them.
        priority: 0 to 9 (first).
        author: Who asks; the user's login name if not given.

    Returns:
        One answer for each process, by pid; those that were named and have terminated are refused.

    Raises:
        InvalidInput: that is no queue, or no priority. Nothing was changed.
    """
    (who, _), priority = asked_by("set", author), checked(queue, priority)
    outcomes = workspace.store.place(selection, author=who, queue=queue, priority=priority).result()
    notify_retried(workspace, outcomes)
    return [_answer(workspace, outcome) for outcome in outcomes]


def checked(queue: Any, priority: Any) -> int | None:
    """The priority, if both can be.

    Raises:
        InvalidInput: they cannot; says which, and what can.
    """
    if queue is None and priority is None:
        raise InvalidInput("say what is to be set: a queue, a priority, or both")
    try:
        if queue is not None:
            check_queue(queue)
            if not queue or queue.startswith(OWN_QUEUE):
                raise ValueError(f"{queue!r} cannot be the queue of a process that workers run")
        if priority is not None:
            priority = fitted(priority, int)
            check_priority(priority)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    return priority if isinstance(priority, int) else None


def _answer(workspace: Workspace, outcome: ControlOutcome) -> Answer:
    before, row = outcome.before, outcome.after
    if outcome.refused is not None or row is None or before is None:
        return Answer(outcome.pid, SET, False, False, outcome.refused or "", before)
    return Answer(outcome.pid, SET, True, True, _told(before, row), row, workspace)


def _told(before: ProcessRow, row: ProcessRow) -> str:
    changed = []
    if before.queue != row.queue:
        changed.append(f"queue {row.queue} (was {before.queue})")
    if before.priority != row.priority:
        changed.append(f"priority {row.priority} (was {before.priority})")
    if not changed:
        return "is so already"
    said = ", ".join(changed)
    return f"{said}; it holds from its next claim on" if row.owner is not None else said
