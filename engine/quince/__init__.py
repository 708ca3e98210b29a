"""Quince: processes, and those who run and control them.

    from quince import WorkChain, run, submit

What is exported is loaded when it is first asked for, so that `quince ps` need not wait for plumpy.
"""

# isort: skip_file
from __future__ import annotations

from quince import import_order

import_order.guard()  # before whatever a file of the user's could take the place of

import importlib  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from quince.client.control import Answer as Answer
    from quince.client.find import afind as afind, find as find
    from quince.client.handle import (
        Handles as Handles, ProcessHandle as ProcessHandle, aget_process as aget_process,
        get_process as get_process,
    )  # fmt: skip
    from quince.client.limits import (
        alimits as alimits, aremove_limit as aremove_limit, aset_limit as aset_limit, limits as limits,
        remove_limit as remove_limit, set_limit as set_limit,
    )  # fmt: skip
    from quince.client.schedules import (
        BackFill as BackFill, ScheduleHandle as ScheduleHandle, aget_schedule as aget_schedule,
        aschedule as aschedule, aschedules as aschedules, get_schedule as get_schedule,
        schedule as schedule, schedules as schedules,
    )  # fmt: skip
    from quince.client.prune import PruneReport as PruneReport, aprune as aprune, prune as prune
    from quince.client.submit import (
        asubmit as asubmit, asubmit_many as asubmit_many, submit as submit, submit_many as submit_many,
    )  # fmt: skip
    from quince.errors import (
        ClaimLost as ClaimLost, ControlRefused as ControlRefused, DaemonError as DaemonError,
        EngineError as EngineError, InvalidDefinition as InvalidDefinition, InvalidFilter as InvalidFilter,
        InvalidInput as InvalidInput,
        InvalidOutput as InvalidOutput, InvalidSchedule as InvalidSchedule, InvalidWait as InvalidWait,
        MisusedOnce as MisusedOnce,
        MissingName as MissingName, ProcessExcepted as ProcessExcepted, ProcessFailed as ProcessFailed,
        ProcessHeld as ProcessHeld, ProcessKilled as ProcessKilled, ProcessNotFound as ProcessNotFound,
        ResultUnavailable as ResultUnavailable, SeveralStores as SeveralStores, StepHostDied as StepHostDied,
        StepTimedOut as StepTimedOut,
        UnexpectedReturn as UnexpectedReturn, UnknownTarget as UnknownTarget,
        UnloadableClass as UnloadableClass, UnloadableNow as UnloadableNow,
        UnreadableCheckpoint as UnreadableCheckpoint, Unrestorable as Unrestorable,
        WaitTimeout as WaitTimeout, WorkspaceError as WorkspaceError, WouldDeadlock as WouldDeadlock,
    )  # fmt: skip
    from quince.monitor.monitor import Monitor as Monitor
    from quince.processes.awaiting import (
        ToContext as ToContext, all_ as all_, any_ as any_, append_ as append_,
    )  # fmt: skip
    from quince.processes.child import ChildProcess as ChildProcess
    from quince.processes.functions import ProcessFunction as ProcessFunction, process as process
    from quince.processes.instructions import if_ as if_, return_ as return_, while_ as while_
    from quince.processes.process import Process as Process
    from quince.processes.programs import CommandFailed as CommandFailed, Completed as Completed
    from quince.processes.retries import Retry as Retry, step as step
    from quince.processes.signals import signal_ as signal_
    from quince.processes.spec import ExitCode as ExitCode, ProcessSpec as ProcessSpec
    from quince.processes.workchain import WorkChain as WorkChain, WorkChainSpec as WorkChainSpec
    from quince.worker.inline import RunInterrupted as RunInterrupted, run as run
    from quince.workspace.location import locate as locate
    from quince.workspace.workspace import Workspace as Workspace
    from quince_messaging.errors import (
        CommunicatorClosed as CommunicatorClosed, CommunicatorForked as CommunicatorForked,
        ConnectionFailed as ConnectionFailed, DeliveryFailed as DeliveryFailed, InvalidUri as InvalidUri,
        MessageTimeout as MessageTimeout, MessagingError as MessagingError,
        ReconnectingError as ReconnectingError, RemoteError as RemoteError,
        UnroutableError as UnroutableError,
    )  # fmt: skip
    from quince_persistence.errors import (
        CopyRefused as CopyRefused, InvalidUrl as InvalidUrl, MissingDriver as MissingDriver,
        NotAStore as NotAStore, PersistenceError as PersistenceError, SchemaOutdated as SchemaOutdated,
        SchemaTooNew as SchemaTooNew, StoreBusy as StoreBusy, StoreClosed as StoreClosed,
        StoreFull as StoreFull, StoreMoved as StoreMoved, StoreUnavailable as StoreUnavailable,
        TooLarge as TooLarge, Unreadable as Unreadable, UnreadableValueUsed as UnreadableValueUsed,
        Unsaveable as Unsaveable,
    )  # fmt: skip
    from quince_persistence.records import State

    ProcessState = State

_HOMES = {
    "quince.client.control": ("Answer",),
    "quince.client.find": ("afind", "find"),
    "quince.client.handle": ("Handles", "ProcessHandle", "aget_process", "get_process"),
    "quince.client.schedules": (
        "BackFill", "ScheduleHandle", "aget_schedule", "aschedule", "aschedules", "get_schedule", "schedule",
        "schedules",
    ),
    "quince.client.limits": ("alimits", "aremove_limit", "aset_limit", "limits", "remove_limit", "set_limit"),
    "quince.client.prune": ("PruneReport", "aprune", "prune"),
    "quince.client.submit": ("asubmit", "asubmit_many", "submit", "submit_many"),
    "quince.errors": (
        "ClaimLost", "ControlRefused", "DaemonError", "EngineError", "InvalidDefinition", "InvalidFilter",
        "InvalidInput",
        "InvalidOutput", "InvalidSchedule", "InvalidWait", "MisusedOnce", "MissingName", "ProcessExcepted",
        "ProcessFailed", "ProcessHeld", "ProcessKilled", "ProcessNotFound", "ResultUnavailable",
        "SeveralStores", "StepHostDied", "StepTimedOut", "UnexpectedReturn", "UnknownTarget",
        "UnloadableClass", "UnloadableNow", "UnreadableCheckpoint", "Unrestorable", "WaitTimeout",
        "WorkspaceError", "WouldDeadlock",
    ),
    "quince.monitor.monitor": ("Monitor",),
    "quince.processes.awaiting": ("ToContext", "all_", "any_", "append_"),
    "quince.processes.child": ("ChildProcess",),
    "quince.processes.functions": ("ProcessFunction", "process"),
    "quince.processes.instructions": ("if_", "return_", "while_"),
    "quince.processes.process": ("Process",),
    "quince.processes.programs": ("CommandFailed", "Completed"),
    "quince.processes.retries": ("Retry", "step"),
    "quince.processes.signals": ("signal_",),
    "quince.processes.spec": ("ExitCode", "ProcessSpec"),
    "quince.processes.workchain": ("WorkChain", "WorkChainSpec"),
    "quince.worker.inline": ("RunInterrupted", "run"),
    "quince.workspace.location": ("locate",),
    "quince.workspace.workspace": ("Workspace",),
    "quince_messaging.errors": (
        "CommunicatorClosed", "CommunicatorForked", "ConnectionFailed", "DeliveryFailed", "InvalidUri",
        "MessageTimeout", "MessagingError", "ReconnectingError", "RemoteError", "UnroutableError",
    ),
    "quince_persistence.errors": (
        "CopyRefused", "InvalidUrl", "MissingDriver", "NotAStore", "PersistenceError", "SchemaOutdated",
        "SchemaTooNew", "StoreBusy", "StoreClosed", "StoreFull", "StoreMoved", "StoreUnavailable",
        "TooLarge", "Unreadable", "UnreadableValueUsed", "Unsaveable",
    ),
    "quince_persistence.records": ("ProcessState",),
}  # fmt: skip
"""Where each name is, as above; a test compares them."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_OTHER_NAMES = {"ProcessState": "State"}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_order.guard()  # other folders may have come meanwhile
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), _OTHER_NAMES.get(name, name))
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
