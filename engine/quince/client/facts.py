"""What the store says of a process that somebody asks about."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from quince.moments import span
from quince.recovery.lease import has_ended
from quince.settings import EXPIRY_SECONDS
from quince.workspace.workspace import Workspace
from quince_persistence.clock import now
from quince_persistence.records import Control, EventRow, ProcessRow
from quince_persistence.records.workers import WorkerRow

NAMED = 5
"""How many of those that a sentence is about are named one by one."""


class Facts:
    """What the store says of one process, read when it is asked for."""

    def __init__(self, workspace: Workspace, row: ProcessRow) -> None:
        self.row = row
        self.store = workspace.store
        self.folder = workspace.location.folder
        self.now = now()

    @functools.cached_property
    def history(self) -> Sequence[EventRow]:
        """Its history, oldest first."""
        return self.store.events(self.row.pid)

    def last(self, kind: str) -> EventRow | None:
        """The last line of such a kind in its history."""
        return next((event for event in reversed(self.history) if event.kind == kind), None)

    def last_control(self, verb: Control) -> EventRow | None:
        """The last time that somebody asked for it."""
        return _last_control(self.history, verb)

    def pause_above(self) -> EventRow | None:
        """The pause of an ancestor, the nearest one that was ever asked to pause."""
        parent = self.row.parent
        while parent is not None:
            if (found := _last_control(self.store.events(parent), Control.PAUSE)) is not None:
                return found
            row = self.store.get(parent)
            parent = None if row is None else row.parent
        return None

    def owner(self) -> WorkerRow | None:
        """The worker that holds it; None: it is not registered."""
        return next((w for w in self.store.workers() if w.id == self.row.owner), None)

    def ago(self, then: float | None) -> str:
        """`12 s ago`."""
        return "at an unknown time" if then is None else f"{span(self.now - then)} ago"

    def living(self) -> list[WorkerRow]:
        """The workers that are alive."""
        workers = self.store.workers()
        return [w for w in workers if not has_ended(w) and self.now - w.heartbeat <= EXPIRY_SECONDS]


def _last_control(history: Sequence[EventRow], verb: Control) -> EventRow | None:
    controls = [event for event in history if event.kind == "control"]
    return next((event for event in reversed(controls) if event.body.get("verb") == verb), None)
