"""The store: what is true about every process.

    quince_persistence.register_type(Crystal, "crystal", to_plain, from_plain)

What is exported is loaded when it is first asked for.
"""

# isort: skip_file
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quince_persistence.codec import UnreadableValue as UnreadableValue, register_type as register_type
    from quince_persistence.errors import (
        CopyRefused as CopyRefused, IllegalTransition as IllegalTransition, InvalidUrl as InvalidUrl,
        KeyTaken as KeyTaken, MissingDriver as MissingDriver, NotAStore as NotAStore,
        PersistenceError as PersistenceError, PidTaken as PidTaken, RecordRefused as RecordRefused,
        ScheduleTaken as ScheduleTaken, ScheduleUnreadable as ScheduleUnreadable,
        SchemaOutdated as SchemaOutdated, SchemaTooNew as SchemaTooNew, StoreBusy as StoreBusy,
        StoreClosed as StoreClosed, StoreFull as StoreFull, StoreMoved as StoreMoved,
        StoreUnavailable as StoreUnavailable, TooLarge as TooLarge, UnknownProcess as UnknownProcess,
        UnknownSchedule as UnknownSchedule, UnknownWorker as UnknownWorker, Unreadable as Unreadable,
        UnreadableValueUsed as UnreadableValueUsed, Unsaveable as Unsaveable,
    )  # fmt: skip
    from quince_persistence.records import EventRow as EventRow, ProcessRow as ProcessRow, State as State

_HOMES = {
    "quince_persistence.codec": ("UnreadableValue", "register_type"),
    "quince_persistence.errors": (
        "CopyRefused", "IllegalTransition", "InvalidUrl", "KeyTaken", "MissingDriver", "NotAStore",
        "PersistenceError", "PidTaken", "RecordRefused", "ScheduleTaken", "ScheduleUnreadable",
        "SchemaOutdated", "SchemaTooNew", "StoreBusy",
        "StoreClosed", "StoreFull", "StoreMoved", "StoreUnavailable", "TooLarge", "UnknownProcess",
        "UnknownSchedule", "UnknownWorker", "Unreadable", "UnreadableValueUsed", "Unsaveable",
    ),
    "quince_persistence.records": ("EventRow", "ProcessRow", "State"),
}  # fmt: skip
"""Where each name is, as above; a test compares them."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
