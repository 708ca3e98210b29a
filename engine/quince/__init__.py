"""Quince: processes, and those who run and control them.

    from quince import WorkChain, run, submit

What is exported is loaded when it is first asked for, so that `quince ps` need not wait for plumpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince.client.control import Answer
    from quince.client.find import find
    from quince.client.handle import ProcessHandle, get_process
    from quince.client.submit import asubmit, asubmit_many, submit, submit_many
    from quince.errors import (
        ClaimLost,
        ControlRefused,
        EngineError,
        InvalidDefinition,
        InvalidInput,
        InvalidOutput,
        InvalidWait,
        MisusedOnce,
        ProcessExcepted,
        ProcessFailed,
        ProcessKilled,
        ProcessNotFound,
        UnknownTarget,
        UnreadableCheckpoint,
        WaitTimeout,
        WorkspaceError,
    )
    from quince.processes.functions import process
    from quince.processes.process import Process
    from quince.processes.spec import ExitCode
    from quince.processes.workchain import ToContext, WorkChain, append_, if_, return_, signal_, while_
    from quince.worker.inline import run
    from quince.workspace.location import locate
    from quince.workspace.workspace import Workspace
    from quince_persistence.errors import Unsaveable
    from quince_persistence.records import State as ProcessState

_HOMES = {
    "quince.client.control": ("Answer",),
    "quince.errors": (
        "ClaimLost", "ControlRefused", "EngineError", "InvalidDefinition", "InvalidInput", "InvalidOutput",
        "InvalidWait", "MisusedOnce", "ProcessExcepted", "ProcessFailed", "ProcessKilled", "ProcessNotFound",
        "UnknownTarget", "UnreadableCheckpoint", "WaitTimeout", "WorkspaceError",
    ),
    "quince.client.find": ("find",),
    "quince.processes.functions": ("process",),
    "quince.client.handle": ("ProcessHandle", "get_process"),
    "quince.client.submit": ("asubmit", "asubmit_many", "submit", "submit_many"),
    "quince.worker.inline": ("run",),
    "quince.processes.process": ("Process",),
    "quince.processes.spec": ("ExitCode",),
    "quince.processes.workchain": (
        "ToContext", "WorkChain", "append_", "if_", "return_", "signal_", "while_",
    ),
    "quince.workspace.location": ("locate",),
    "quince.workspace.workspace": ("Workspace",),
    "quince_persistence.errors": ("Unsaveable",),
    "quince_persistence.records": ("ProcessState",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_OTHER_NAMES = {"ProcessState": "State"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Answer",
    "ClaimLost",
    "ControlRefused",
    "EngineError",
    "ExitCode",
    "InvalidDefinition",
    "InvalidInput",
    "InvalidOutput",
    "InvalidWait",
    "MisusedOnce",
    "Process",
    "ProcessExcepted",
    "ProcessFailed",
    "ProcessHandle",
    "ProcessKilled",
    "ProcessNotFound",
    "ProcessState",
    "ToContext",
    "UnknownTarget",
    "UnreadableCheckpoint",
    "Unsaveable",
    "WaitTimeout",
    "WorkChain",
    "Workspace",
    "WorkspaceError",
    "append_",
    "asubmit",
    "asubmit_many",
    "find",
    "get_process",
    "if_",
    "locate",
    "process",
    "return_",
    "run",
    "signal_",
    "submit",
    "submit_many",
    "while_",
]
