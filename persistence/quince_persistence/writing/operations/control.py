"""Pause, play and kill, for one process or a hundred thousand in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quince_persistence.reading.selecting import matching_pids
from quince_persistence.records import Control, ControlOutcome, Selection
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.lifecycle import as_woken, kill_family, pause
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class ControlProcesses(Operation[Sequence[ControlOutcome]]):
    """One verb for every process of a selection."""

    def __init__(
        self, verb: Control, selection: Selection, author: str, reason: str | None, force: bool
    ) -> None:
        super().__init__()
        self._verb, self._selection = verb, selection
        self._author, self._reason, self._force = author, reason, force
        self._body = msgspec.json.encode({"verb": verb.value, "reason": reason})
        self.alone = _only_pids(selection) is None or verb is Control.KILL
        self._chosen: Sequence[int] = ()

    def find(self, unit: UnitOfWork) -> None:
        trees = tuple(self._selection.trees)
        if trees:  # locked before the look: what is born in between belongs to the tree
            unit.load(Needs(families=set(trees)))
        if (pids := _only_pids(self._selection)) is not None:
            self._chosen = pids
        elif self._selection == Selection(trees=self._selection.trees):
            self._chosen = [row.pid for row in unit.family(trees)]
        else:
            self._chosen = matching_pids(unit.connection, self._selection)

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._selection.pids)
        if self._verb is Control.KILL:
            needs.families.update(self._chosen)
        else:
            needs.pids.update(self._chosen)

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        targets, outcomes = self._sort(unit)
        if self._verb is Control.KILL:
            done = kill_family(unit, targets, author=self._author, reason=self._reason, force=self._force)
        elif self._verb is Control.PAUSE:
            done = [self._pause(unit, row) for row in targets]
        else:
            done = [self._play(unit, row) for row in targets]
        for outcome in done:
            unit.log(outcome.pid, "control", self._body, self._author)
        return sorted(outcomes + done, key=lambda outcome: outcome.pid)

    def _sort(self, unit: UnitOfWork) -> tuple[list[MutableRow], list[ControlOutcome]]:
        """Those it can be done to; and the answers for those that were named and cannot."""
        targets: list[MutableRow] = []
        refused: list[ControlOutcome] = []
        chosen = set(self._chosen)
        named = set(self._selection.pids)
        for pid in dict.fromkeys([*self._chosen, *self._selection.pids]):
            row = unit.rows.get(pid)
            if row is not None and not row.terminated and pid in chosen:
                targets.append(row)
            elif pid in named:
                refused.append(refusal(pid, row))
        return targets, refused

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
            row.intent, row.intent_reason = Control.PAUSE.value, self._reason
        unit.change(row)
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=there, owner=before.owner)

    def _play(self, unit: UnitOfWork, row: MutableRow) -> ControlOutcome:
        before = row.frozen()
        row.tree_paused = False
        if row.intent == Control.PAUSE:
            row.intent = row.intent_reason = None
            row.pause_void = True
        if row.paused:
            row.paused = False
            row.status = None
        unit.change(row)
        woken = (as_woken(row),) if row.ready and not before.ready else ()
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=True, owner=row.owner, woken=woken)


def _only_pids(selection: Selection) -> Sequence[int] | None:
    """The pids, if the selection is nothing but a list of pids."""
    return tuple(selection.pids) if selection.pids and selection == Selection(pids=selection.pids) else None


def refusal(pid: int, row: MutableRow | None) -> ControlOutcome:
    """The outcome for a process that was named and does not exist, has terminated or is not selected."""
    if row is None:
        return ControlOutcome(pid, False, None, None, applied=False, refused=f"there is no process {pid}")
    frozen = row.frozen()
    if row.terminated:
        why = f"process {pid} has terminated ({row.state})"
    else:
        why = f"process {pid} is not among those selected"
    return ControlOutcome(pid, True, frozen, frozen, applied=False, refused=why)
