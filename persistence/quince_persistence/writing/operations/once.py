"""Results of once-blocks: written outside a step, under the claim of the one that runs it."""

from __future__ import annotations

from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.steps import owned
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class RecordOnce(Operation[bool]):
    """The result of a once-block. Prompt: a blocking step waits for it, in whatever thread."""

    prompt = True

    def __init__(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> None:
        super().__init__(len(result))
        self._pid, self._owner, self._epoch = pid, owner, epoch
        self._key, self._result = key, result

    def need(self, needs: Needs) -> None:
        needs.pids.add(self._pid)

    def apply(self, unit: UnitOfWork) -> bool:
        if owned(unit, self._pid, self._owner, self._epoch) is None:
            return False
        unit.changes.once.append({"pid": self._pid, "key": self._key, "blob": self._result})
        return True
