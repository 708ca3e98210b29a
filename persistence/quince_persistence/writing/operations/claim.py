"""Claims: compare-and-swap of the owner."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quince_persistence.databases.structured_log import StructuredLogger
from quince_persistence.records import Claim, ProcessRow, State
from quince_persistence.writing.lifecycle import enter
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_log = StructuredLogger("quince.store")


class ClaimProcesses(Operation[Sequence[Claim]]):
    """Those that are ready and unowned become the owner's, running, with epoch + 1."""

    def __init__(self, pids: Sequence[int], owner: str) -> None:
        super().__init__()
        self._pids = tuple(dict.fromkeys(pids))
        self._owner = owner

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._pids)

    def apply(self, unit: UnitOfWork) -> list[ProcessRow]:
        claimed = []
        unknown = [pid for pid in self._pids if pid not in unit.rows]
        if unknown:
            _log.warning("there are no processes %(pids)s here; tasks for them are dropped", pids=unknown)
        for pid in self._pids:
            row = unit.rows.get(pid)
            if row is None or row.owner is not None or not row.ready:
                continue
            row.owner = self._owner
            row.epoch += 1
            if row.state == State.RUNNING:  # it was released in the middle of its work
                unit.log(row.pid, "claim", msgspec.json.encode({"step": row.step}), self._owner)
            enter(unit, row, State.RUNNING, self._owner)
            unit.change(row)
            claimed.append(row.frozen())
        unit.wanted_blobs.update(row.pid for row in claimed)
        return claimed

    def answer(self, unit: UnitOfWork, outcome: list[ProcessRow]) -> list[Claim]:
        return [Claim(row, *unit.blobs(row.pid)) for row in outcome]
