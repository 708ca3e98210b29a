"""Finding out at each checkpoint, and not after the first crash, that it cannot be continued from.

In `run()`, and wherever `QUINCE_CHECK=1` is set, a process goes on after each step from what its
checkpoint gives back, as if its worker had died there: plain attributes are gone, and types that do
not come back as they were are found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from quince.errors import UnreadableCheckpoint, Unrestorable
from quince.processes import checkpoint
from quince.processes.child import ChildProcess
from quince.processes.execution import Execution
from quince.processes.interfaces import Host
from quince.settings import CHECK_VARIABLE
from quince_persistence.codec import Unreadable, encode, met_unreadable, same
from quince_persistence.records import Claim


def wanted(default: bool) -> bool:
    """Whether checkpoints are round-tripped here."""
    said = os.environ.get(CHECK_VARIABLE, "")
    return default if said == "" else said != "0"


def restored(
    execution: Execution, blob: bytes, claim: Claim, host: Host
) -> tuple[Execution, list[ChildProcess]]:
    """The process as another worker would make it from this checkpoint, and the children it mentions.

    Raises:
        Unrestorable: no worker could; names what does not come back.
    """
    name = execution.name
    try:
        with met_unreadable() as met:
            copy, children = checkpoint.restore(execution.cls, Claim(claim.row, claim.inputs, blob), host)
    except (UnreadableCheckpoint, Unreadable) as error:
        raise Unrestorable(f"the checkpoint of {name} after this step cannot be restored: {error}") from error
    if met:
        with met_unreadable() as carried:
            checkpoint.save(execution)
        if len(carried) < len(met):
            raise Unrestorable(
                f"the checkpoint of {name} after this step cannot be restored: {met[-1].unreadable_reason}"
            )
    again = checkpoint.save(copy)
    if again is None or not same(blob, again):
        raise Unrestorable(
            f"the checkpoint of {name} after this step is not what was saved: {_lost(execution, copy)}"
        )
    copy.status = execution.status
    copy.stop = execution.stop
    return copy, children


def _lost(execution: Execution, copy: Execution) -> str:
    """Names what does not come back as it was."""
    for location, before, after in (
        ("ctx", _context(execution), _context(copy)),
        ("outputs", dict(execution.outputs), dict(copy.outputs)),
    ):
        for key, value in before.items():
            if key not in after or not same(encode(value), encode(after[key])):
                return f"{location}.{key} ({type(value).__name__}) comes back as another value"
    return "it comes back with another meaning"


def _context(execution: Execution) -> Mapping[str, Any]:
    memory: Mapping[str, Any] = (execution.memory() or {}).get("ctx", {})
    return memory
