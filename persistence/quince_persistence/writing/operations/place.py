"""Where processes stand among others: their queue and their priority."""

from __future__ import annotations

from typing import Any

import msgspec

from quince_persistence.records import OWN_QUEUE, Selection
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.lifecycle import as_woken
from quince_persistence.writing.operations.selected import SelectedProcesses
from quince_persistence.writing.unit_of_work import UnitOfWork


class PlaceProcesses(SelectedProcesses):
    """Another queue, or another priority, for every process of a selection."""

    def __init__(self, selection: Selection, author: str, *, queue: str | None, priority: int | None) -> None:
        super().__init__(selection)
        self._author, self._queue, self._priority = author, queue, priority

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        targets, outcomes = self.sort(unit)
        outcomes += [self._place(unit, row) for row in targets]
        return sorted(outcomes, key=lambda outcome: outcome.pid)

    def _place(self, unit: UnitOfWork, row: MutableRow) -> ControlOutcome:
        before = row.frozen()
        if self._queue not in (None, row.queue) and row.queue.startswith(OWN_QUEUE):
            why = f"process {row.pid} belongs to a run() in another program, and stays on its queue"
            return ControlOutcome(row.pid, True, before, before, applied=False, refused=why)
        changed: dict[str, Any] = {}
        if self._queue is not None and self._queue != row.queue:
            row.queue = changed["queue"] = self._queue
        if self._priority is not None and self._priority != row.priority:
            row.priority = changed["priority"] = self._priority
        if changed:
            unit.log(row.pid, "control", msgspec.json.encode({"verb": "set", **changed}), self._author)
            unit.change(row)
        queued = changed and row.ready and row.owner is None
        woken = (as_woken(row),) if queued else ()
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=True, owner=row.owner, woken=woken)
