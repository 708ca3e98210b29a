"""All about one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quince.client.restart import beginnings
from quince.client.why import Why, why
from quince.monitor.code import Code, marked
from quince.monitor.history import Attempt, Durations, last_revision, retries_of
from quince.monitor.rows import Row
from quince.monitor.spent import attempts_of, bars_of, durations_of
from quince.on_hold import is_held
from quince.processes.error_record import ErrorRecord
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace
from quince_persistence.codec import Unreadable, decode
from quince_persistence.records import ProcessRow


@dataclass(frozen=True, slots=True)
class Details:
    """All about one process, as it stood when it was read.

    Attributes:
        row: As in a list.
        code: Its ports and outline, as its class declares them now; `current` of them marks the step.
        inputs: By name. What cannot be read says so in its place (`codec.UnreadableValue`).
        outputs: By name; empty before there are any.
        error: The exception with which it ended, or because of which it is paused.
        why: Why it does not move, or that it does.
        attempts: Those that have failed, oldest first.
        durations: For how long it was what.
        children: The first ones, by pid.
        child_count: How many there are.
        steps: Before which steps it can be begun anew (`quince restart --from`).
        retries: How often it was retried.
        revision: That of the code that ran last; None: not known.
        revision_now: That of the code as it stands here; None: not known.
    """

    row: Row
    code: Code
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    error: ErrorRecord | None
    why: Why
    attempts: Sequence[Attempt]
    durations: Durations
    children: Sequence[Row]
    child_count: int
    steps: Sequence[str]
    retries: int
    revision: str | None
    revision_now: str | None


CHILDREN = 50
"""Children that are shown with a process."""


def details_of(
    home: Workspace,
    pid: int,
    rows: Callable[[Sequence[ProcessRow]], Sequence[Row]],
    code: Callable[[str], Code],
) -> Details:
    """All about a process.

    Args:
        rows: Makes rows to be seen of those of the store.
        code: What a class declares.

    Raises:
        ProcessNotFound: there is none.
    """
    store = home.store
    results = store.results([pid])
    if not results:
        raise home.not_found(pid)
    (result,) = results
    row, events = result.row, store.events(pid)
    top, *below = rows([row, *store.children([pid], most=CHILDREN)])
    failed = result.error if row.terminated or is_held(row) else None
    return Details(
        row=top,
        code=marked(code(row.class_path), row.step),
        inputs=readable(store.inputs(pid)),
        outputs=readable(result.outputs),
        error=None if failed is None else error_record_of(failed),
        why=why(home, pid),
        attempts=attempts_of(events),
        durations=durations_of(bars_of(row, events, top.seen)),
        children=below,
        child_count=max(store.child_counts([pid]).get(pid, 0), len(below)),
        steps=[name for name, _ in beginnings(store, pid)],
        retries=retries_of(events),
        revision=last_revision(events),
        revision_now=revision_of(row.class_path, home.location.folder),
    )


def readable(blob: bytes | None) -> Mapping[str, Any]:
    """Stored values by name; one that says why, if the bytes cannot be read at all."""
    try:
        values = decode(blob) if blob else {}
    except Unreadable as error:
        return {"unreadable": str(error)}
    return values if isinstance(values, Mapping) else {"unreadable": "these are no values by name"}


def error_record_of(blob: bytes) -> ErrorRecord:
    """A stored error; one that says why, if it cannot be read."""
    try:
        return ErrorRecord.decode(blob)
    except (Unreadable, AttributeError) as error:
        return ErrorRecord("Unreadable", str(error), "")
