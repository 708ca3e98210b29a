"""The names that values of our own types have in stores, for ever: they do not change with our modules."""

from __future__ import annotations

import importlib
from typing import Any

HOMES = {
    "quince:Answer": "quince.client.control:Answer",
    "quince:Completed": "quince.processes.programs:Completed",
    "quince:Control": "quince_persistence.records:Control",
    "quince:EventRow": "quince_persistence.records:EventRow",
    "quince:ExitCode": "quince.processes.spec:ExitCode",
    "quince:Location": "quince.workspace.location:Location",
    "quince:ProcessState": "quince_persistence.records:State",
    "quince:Selection": "quince_persistence.records:Selection",
    "quince:SignalRow": "quince_persistence.records:SignalRow",
    "quince:Why": "quince.client.why:Why",
    "quince:WorkerRow": "quince_persistence.records.workers:WorkerRow",
    "quince_messaging:BroadcastMessage": "quince_messaging.contract:BroadcastMessage",
    "quince_messaging:DeadLetter": "quince_messaging.contract:DeadLetter",
    "quince_messaging:LinkState": "quince_messaging.contract:LinkState",
}
"""Name in a store -> where the type is now."""

EARLIER = {
    "engine.commands:Completed": "quince:Completed",
    "engine.control:Answer": "quince:Answer",
    "engine.spec:ExitCode": "quince:ExitCode",
    "engine.why:Why": "quince:Why",
    "engine.workspace:Place": "quince:Location",
    "messaging.communicator:BroadcastMessage": "quince_messaging:BroadcastMessage",
    "messaging.communicator:DeadLetter": "quince_messaging:DeadLetter",
    "messaging.communicator:LinkState": "quince_messaging:LinkState",
    "persistence.records:Control": "quince:Control",
    "persistence.records:EventRow": "quince:EventRow",
    "persistence.records:Selection": "quince:Selection",
    "persistence.records:SignalRow": "quince:SignalRow",
    "persistence.records:State": "quince:ProcessState",
    "persistence.records:WorkerRow": "quince:WorkerRow",
}
"""Name that an earlier version wrote -> name of today."""

_NAMES = {home: name for name, home in HOMES.items()}


def name_of(cls: Any) -> str | None:
    """The name that values of a class of ours have in stores; None for all other classes."""
    return _NAMES.get(f"{cls.__module__}:{cls.__qualname__}")


def load(name: str) -> type | None:
    """The type of ours that has, or had, this name in stores; None if there is none."""
    home = HOMES.get(EARLIER.get(name, name))
    if home is None:
        return None
    module, _, cls = home.partition(":")
    found: type = getattr(importlib.import_module(module), cls)
    return found
