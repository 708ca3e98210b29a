"""What every write is: what it needs read, how it changes the rows, what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.contents import referred
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

T = TypeVar("T")
NOTHING: Mapping[str, bytes] = {}


class Operation(ABC, Generic[T]):
    """One call of a write method, on its way through the writer thread.

    An operation keeps nothing between tries: after a rollback it is applied again to fresh rows.

    Attributes:
        size: Bytes of the values that it writes.
        alone: It reads more than single rows, so it gets a transaction of its own.
        prompt: Its future is resolved on the writer thread, whatever `Store.on_batch` says, because
            its caller blocks for it.
        parts: Digests of the large parts of the values that it writes.
        given: Those of them that it brings.
    """

    alone = False
    prompt = False

    def __init__(
        self, size: int = 0, *, blobs: Iterable[bytes] = (), given: Mapping[str, bytes] = NOTHING
    ) -> None:
        self.parts = referred(blobs)
        self.given = given
        self.size = size + sum(map(len, given.values()))
        self.future: Future[T] = Future()

    def find(self, unit: UnitOfWork) -> None:
        """Look up, without locks, which rows it is about (those that choose by a selection)."""

    def need(self, needs: Needs) -> None:
        """Say what to read and lock before `apply` (those that are about processes)."""

    @abstractmethod
    def apply(self, unit: UnitOfWork) -> Any:
        """Change the rows in memory.

        Raises:
            PersistenceError: refused; nothing was changed.
        """

    def answer(self, unit: UnitOfWork, outcome: Any) -> T:
        """Called when all operations of the group were applied, to read what the answer needs."""
        result: T = outcome
        return result


class ClaimedOperation(Operation[T]):
    """A write under a claim: it is fenced, and changes nothing, when that claim does not hold any more.

    Attributes:
        fenced: The answer then.
    """

    fenced: T

    def __init__(self, pid: int, owner: str, epoch: int, size: int = 0, **parts: Any) -> None:
        super().__init__(size, **parts)
        self._pid, self._owner, self._epoch = pid, owner, epoch

    def need(self, needs: Needs) -> None:
        needs.pids.add(self._pid)

    def apply(self, unit: UnitOfWork) -> T:
        row = unit.rows.get(self._pid)
        if row is None or row.owner != self._owner or row.epoch != self._epoch:
            return self.fenced
        return self.change(unit, row)

    @abstractmethod
    def change(self, unit: UnitOfWork, row: MutableRow) -> T:
        """Change the row, and what follows from it."""
