"""Results of once-blocks: written outside a step, under the claim of the one that runs it."""

from __future__ import annotations

from collections.abc import Mapping

from quince_persistence.codec.folding import fold
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.operations.base import ClaimedOperation
from quince_persistence.writing.unit_of_work import UnitOfWork


class RecordOnce(ClaimedOperation[bool]):
    """The result of a once-block. Prompt: a blocking step waits for it, in whatever thread."""

    prompt = True
    fenced = False

    def __init__(
        self, pid: int, owner: str, epoch: int, key: str, result: bytes, contents: Mapping[str, bytes]
    ) -> None:
        given = dict(contents)
        self._key, self._result = key, fold(result, given)
        super().__init__(pid, owner, epoch, len(self._result), blobs=[self._result], given=given)

    def change(self, unit: UnitOfWork, row: MutableRow) -> bool:
        unit.changes.once.append({"pid": row.pid, "key": self._key, "blob": self._result})
        return True
