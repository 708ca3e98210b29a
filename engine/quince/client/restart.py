"""Beginning anew, as a new process, from a step of another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from quince.client.control import asked_by
from quince.client.notify import enqueue
from quince.client.retry import changed_inputs
from quince.errors import ControlRefused
from quince.processes.definition import definition_of
from quince.processes.outline import START
from quince.workspace.workspace import Workspace
from quince_persistence.contract import StoreContract
from quince_persistence.errors import RecordRefused
from quince_persistence.records import ProcessRow, State
from quince_persistence.records.controls import Restarted


def restart(
    workspace: Workspace,
    pid: int,
    from_step: str | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    reason: str | None = None,
    author: str | None = None,
) -> Restarted:
    """Make a new process that begins before a step of this one; see `ProcessHandle.restart`.

    Raises:
        ProcessNotFound: there is no such process.
        ControlRefused: no checkpoint is kept before such a step; says before which there is one.
        InvalidInput, Unsaveable, UnknownTarget: as `ProcessHandle.restart`.
    """
    who, why = asked_by("restart", author, reason)
    row = workspace.store.get(pid)
    if row is None:
        raise workspace.not_found(pid)
    number = _number(workspace, row, from_step)
    blob = changed_inputs(workspace, pid, inputs) if inputs else None
    try:
        made = workspace.store.restart(pid, author=who, reason=why, number=number, inputs=blob).result()
    except RecordRefused as error:  # it has ended, or was pruned, meanwhile
        raise ControlRefused(pid, str(error)) from error
    enqueue(workspace, made.woken)
    return made


def beginnings(store: StoreContract, pid: int) -> list[tuple[str, int | None]]:
    """Before which steps a process has kept its checkpoint, in their order: the name of each, by which
    `--from` takes it, and its number. Of several times that a step ran, each has a number in its name."""
    steps = store.past_steps(pid)
    times, seen = Counter(one.step for one in steps), Counter[str | None]()
    named = []
    for one in steps:
        seen[one.step] += 1
        name = one.step or "the end"
        named.append((f"{name}#{seen[one.step]}" if times[one.step] > 1 else name, one.number))
    return named


def _number(workspace: Workspace, row: ProcessRow, from_step: str | None) -> int | None:
    """That of the checkpoint to begin from; None: the newest."""
    if from_step is None:
        return 0 if row.state is State.FINISHED and not row.exit_status else None
    there = beginnings(workspace.store, row.pid)
    for name, number in reversed(there):
        if from_step in (name, name.partition("#")[0], f"{name}#1"):
            return number
    if str(from_step).removesuffix("#1") == _first_step(workspace, row):
        return 0
    names = ", ".join(name for name, _ in there)
    has = f"it has one before {names}" if names else "it has none"
    raise ControlRefused(
        row.pid,
        f"process {row.pid} has kept no checkpoint before a step {from_step!r} ({has}); a class with "
        "`keep_checkpoints = True`, or a workspace with `keep_checkpoints = true` in quince.toml, keeps all",
    )


def _first_step(workspace: Workspace, row: ProcessRow) -> str:
    """The step with which its class begins, which needs no checkpoint.

    Raises:
        UnknownTarget: the class cannot be loaded here.
    """
    outline = definition_of(workspace.registry.load(row.class_path)).outline
    return "run" if outline is None else str(outline.label(START))
