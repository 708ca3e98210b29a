"""What is done to every process of a selection."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import msgspec

from quince_persistence.reading.selecting import matching_pids
from quince_persistence.records import Selection
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class SelectedProcesses(Operation[Sequence[ControlOutcome]]):
    """Finds and locks the processes of a selection, and answers for those that were named and cannot be."""

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self._selection = selection
        self._chosen: Sequence[int] = ()
        self.alone = _only_pids(selection) is None

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
        needs.pids.update(self._chosen, self._selection.pids)

    @abstractmethod
    def apply(self, unit: UnitOfWork) -> Sequence[ControlOutcome]:
        """Change the rows in memory."""

    def answer(self, unit: UnitOfWork, outcome: Sequence[ControlOutcome]) -> Sequence[ControlOutcome]:
        if not outcome or not (granted := unit.grants.take()):
            return outcome
        first, *others = outcome
        return [msgspec.structs.replace(first, woken=(*first.woken, *granted)), *others]

    def sort(self, unit: UnitOfWork) -> tuple[list[MutableRow], list[ControlOutcome]]:
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
