"""Pause, play and kill, for one process or a hundred thousand in one transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from quince_persistence.records import Control, Selection
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.mutable_row import PAUSE_NOW, MutableRow
from quince_persistence.writing.lifecycle import as_woken, kill_family, pause
from quince_persistence.writing.operations.selected import SelectedProcesses
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

QUINCE = "quince"
"""The author of what the engine itself does: what it pauses, a person is to see to."""


class ControlProcesses(SelectedProcesses):
    """One verb for every process of a selection."""

    def __init__(
        self,
        verb: Control,
        selection: Selection,
        author: str,
        reason: str | None,
        *,
        force: bool,
        now: bool,
    ) -> None:
        super().__init__(selection)
        self._verb = verb
        self._author, self._reason, self._force = author, reason, force
        self._intent = PAUSE_NOW if now else Control.PAUSE.value
        body: dict[str, Any] = {"verb": verb.value, "reason": reason}
        self._body = msgspec.json.encode(body | {"now": True} if now else body)
        self.alone = self.alone or verb is Control.KILL

    def need(self, needs: Needs) -> None:
        super().need(needs)
        if self._verb is Control.KILL:
            needs.families.update(self._chosen)

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        targets, outcomes = self.sort(unit)
        if self._verb is Control.KILL:
            done = kill_family(unit, targets, author=self._author, reason=self._reason, force=self._force)
        elif self._verb is Control.PAUSE:
            done = [self._pause(unit, row) for row in targets]
        else:
            done = [self._play(unit, row) for row in targets]
        for outcome in done:
            unit.log(outcome.pid, "control", self._body, self._author)
        return sorted(outcomes + done, key=lambda outcome: outcome.pid)

    def _pause(self, unit: UnitOfWork, row: MutableRow) -> ControlOutcome:
        before = row.frozen()
        row.tree_paused = row.tree_paused or bool(self._selection.trees)
        row.pause_void = False
        suspended = row.owner is not None and row.paused  # its program is
        there = suspended or (row.stopped and row.intent != Control.KILL)
        if there:
            pause(row, self._reason)
            if not suspended:
                row.owner = None
        elif row.intent != Control.KILL:
            row.intent, row.intent_reason = self._intent, self._reason
        if self._author == QUINCE:
            unit.happenings.was_put_aside(row, self._reason)
        unit.change(row)
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=there, owner=before.owner)

    def _play(self, unit: UnitOfWork, row: MutableRow) -> ControlOutcome:
        before = row.frozen()
        row.tree_paused = False
        if row.pausing:
            row.intent = row.intent_reason = None
            row.pause_void = True
        if row.paused:
            row.paused = False
            row.status = None
        unit.change(row)
        woken = (as_woken(row),) if row.ready and not before.ready else ()
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=True, owner=row.owner, woken=woken)
