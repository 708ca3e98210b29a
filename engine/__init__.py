"""Quince: processes, and those who run and control them.

from engine import WorkChain, run, submit

What is exported is loaded when it is first asked for, so that `quince ps` need not wait for plumpy.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.control import Answer
    from engine.errors import (
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
    from engine.find import find
    from engine.functions import process
    from engine.handle import ProcessHandle, get_process
    from engine.launch import asubmit, asubmit_many, run, submit, submit_many
    from engine.process import Process
    from engine.spec import ExitCode
    from engine.workchain import ToContext, WorkChain, append_, if_, return_, signal_, while_
    from engine.workspace import Workspace, locate
    from persistence.errors import Unsaveable
    from persistence.records import State as ProcessState

_HOMES = {
    "engine.control": ("Answer",),
    "engine.errors": (
        "ClaimLost", "ControlRefused", "EngineError", "InvalidDefinition", "InvalidInput", "InvalidOutput",
        "InvalidWait", "MisusedOnce", "ProcessExcepted", "ProcessFailed", "ProcessKilled", "ProcessNotFound",
        "UnknownTarget", "UnreadableCheckpoint", "WaitTimeout", "WorkspaceError",
    ),
    "engine.find": ("find",),
    "engine.functions": ("process",),
    "engine.handle": ("ProcessHandle", "get_process"),
    "engine.launch": ("asubmit", "asubmit_many", "run", "submit", "submit_many"),
    "engine.process": ("Process",),
    "engine.spec": ("ExitCode",),
    "engine.workchain": ("ToContext", "WorkChain", "append_", "if_", "return_", "signal_", "while_"),
    "engine.workspace": ("Workspace", "locate"),
    "persistence.errors": ("Unsaveable",),
    "persistence.records": ("ProcessState",),
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


class _Package(ModuleType):
    """This package: its `process` is the decorator, whether or not `engine.process` is loaded.

    Without this, importing the submodule would put it in the decorator's place.
    """

    @property
    def process(self) -> Any:
        return importlib.import_module("engine.functions").process

    @process.setter
    def process(self, submodule: ModuleType) -> None:
        """What the import system does after it has loaded the submodule."""


if not TYPE_CHECKING:
    sys.modules[__name__].__class__ = _Package

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
