"""Processes that the engine itself has paused, since it cannot go on with them."""

from __future__ import annotations

from quince_persistence.records import ProcessRow

HELD = "held: "
"""Begins the status of such a process; the rest says why."""

UNLOADABLE = f"{HELD}it cannot be loaded: "


def is_held(row: ProcessRow) -> bool:
    """It goes on when somebody has repaired what its status names, and plays it."""
    return row.paused and (row.status or "").startswith(HELD)
