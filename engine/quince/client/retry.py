"""Going on with processes that have ended, and not well: in place, from the step in which they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quince.client.control import Answer, asked_by
from quince.client.notify import notify_retried
from quince.processes.definition import definition_of
from quince.processes.port_values import parse_inputs
from quince.workspace.workspace import Workspace
from quince_persistence.codec import check, decode, encode_each
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, Selection, State
from quince_persistence.records.controls import ControlOutcome

RETRY = "retry"


def retry(
    workspace: Workspace,
    selection: Selection,
    *,
    reason: str | None = None,
    author: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> list[Answer]:
    """Retry those of a selection that have ended, and not well, in one transaction. Durable on return.

    Args:
        author: Who asks; the user's login name if not given.
        inputs: Those that change, for the one process that is selected by pid.

    Returns:
        One answer for each process that goes on, those included that such a one waits for; and for each that
        was named by pid and cannot be retried. By pid.

    Raises:
        InvalidInput, Unsaveable: its class does not take the inputs. Nothing was changed.
        UnknownTarget: its class cannot be loaded here to check them.
    """
    who, why = asked_by("retry", author, reason)
    blob = None
    if inputs:
        (pid,) = selection.pids
        blob = changed_inputs(workspace, pid, inputs)
    outcomes = workspace.store.retry(selection, author=who, reason=why, inputs=blob).result()
    notify_retried(workspace, outcomes)
    return [_answer(workspace, outcome) for outcome in outcomes]


def changed_inputs(workspace: Workspace, pid: int, changes: Mapping[str, Any]) -> bytes:
    """The inputs of a process with some of them changed, checked by its class, as the store keeps them.

    Raises:
        ProcessNotFound, InvalidInput, Unsaveable, UnknownTarget: as `retry`.
    """
    row, stored = workspace.store.get(pid), workspace.store.inputs(pid)
    if row is None or stored is None:
        raise workspace.not_found(pid)
    cls = workspace.registry.load(row.class_path)
    spec = definition_of(cls).spec
    values = parse_inputs(spec, cls.__name__, _merged(spec.inputs, decode(stored), changes))
    for name, value in values.items():
        check(value, f"inputs.{name}")
    return encode_each(values, "inputs")


def _merged(ports: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`old`, with what `new` says in its place; namespaces are merged, other values replaced."""
    merged = dict(old)
    for name, value in new.items():
        port, there = ports.get(name), old.get(name)
        if isinstance(port, Mapping) and isinstance(value, Mapping) and isinstance(there, Mapping):
            value = _merged(port, there, value)
        merged[name] = value
    return merged


def _answer(workspace: Workspace, outcome: ControlOutcome) -> Answer:
    row = outcome.after
    if outcome.refused is not None or row is None:
        return Answer(outcome.pid, RETRY, False, False, outcome.refused or "", outcome.before)
    return Answer(outcome.pid, RETRY, True, True, _told(workspace.store, row), row, workspace)


def _told(store: StoreContract, row: ProcessRow) -> str:
    step = f"goes on from step {row.step}" if row.step else "begins anew"
    if row.paused:
        step = f"is paused with its tree; {step} when it is played"
    elif row.state is State.WAITING:
        awaited = store.awaited(row.pid)
        names = ", ".join(str(one.pid) for one in awaited[:5]) + (", ..." if len(awaited) > 5 else "")
        step = f"waits for {names or 'what has not come'}; then {step}"
    parent = None if row.parent is None else store.get(row.parent)
    if parent is None or not parent.terminated or (parent.state is State.FINISHED and not parent.exit_status):
        return step
    return (
        f"{step}; its parent {parent.pid} has ended ({parent.state.value}) and stays so: "
        f"`quince retry {parent.pid}` goes on with that"
    )
