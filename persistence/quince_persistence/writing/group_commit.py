"""Group commit: one thread writes for everybody, as many calls per transaction as are waiting.

Nobody is made to wait for company: a lone call is committed at once, and what arrives during that
commit makes the next group.

The group commit of `quince_messaging` for its task file is no second copy of this: it runs on an event loop,
and waits for nothing there; here, one thread waits for the database.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from quince_persistence.databases.database import Database, for_caller
from quince_persistence.databases.error_codes import ErrorKind
from quince_persistence.databases.structured_log import StructuredLogger
from quince_persistence.errors import PersistenceError, StoreClosed
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.writing.changes import Changes
from quince_persistence.writing.contents import keep as keep_parts
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.throttled_log import ThrottledLog
from quince_persistence.writing.transaction import Transactions
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_log = StructuredLogger("quince.store")

GROUP = 500
"""How many calls share a transaction at most."""

GROUP_BYTES = 4_000_000
"""How many bytes of values share a transaction: what is larger stands alone, so that calls before it do not
wait for it, and need not be written with it again."""

_CHANCES = 3
"""How often one call is tried alone: another program may take a key after it was found free."""

Settled = list[tuple[Operation[Any], Any]]
"""Operations with their answers, or the errors to raise."""


class GroupCommit:
    """The writer thread of one store.

    Args:
        name: Of its thread.
        sound_parts: Those that are known from reading.

    Attributes:
        on_batch: If set, called for each commit with a function that resolves all its futures.
    """

    def __init__(
        self,
        database: Database,
        *,
        patience: float,
        name: str = "quince-store",
        sound_parts: SoundParts | None = None,
    ) -> None:
        self.on_batch: Callable[[Callable[[], None]], object] | None = None
        self._database = database
        self._sound_parts = SoundParts() if sound_parts is None else sound_parts
        self._transactor = Transactions(database, patience=patience)
        self._throttled = ThrottledLog("quince.store")
        self._waiting: queue.SimpleQueue[Operation[Any] | None] = queue.SimpleQueue()
        self._door = threading.Lock()
        self._open = self._dormant = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._open = True  # only now: a start that Ctrl-C cut off is not waited for

    def start_when_needed(self) -> None:
        """Start with the first operation."""
        self._dormant = self._open = True

    @property
    def connection(self) -> Connection | None:
        """What it writes over just now."""
        return self._transactor.connection

    def stop(self) -> None:
        """Commit what was handed in, then end. A database that is away is not waited for."""
        with self._door:
            was_open, self._open = self._open and not self._dormant, False
            if was_open:
                self._waiting.put(None)
        if was_open:
            self._transactor.stop()
            self._thread.join()

    def submit(self, operation: Operation[Any]) -> None:
        """Hand an operation in; its future tells the rest.

        Raises:
            StoreClosed: the store is not open.
        """
        with self._door:
            if not self._open:
                raise StoreClosed
            if self._dormant:
                self._thread.start()
                self._dormant = False
            self._waiting.put(operation)

    # The thread

    def _work(self) -> None:
        last = False
        carried: Operation[Any] | None = None
        while not last or carried is not None:
            group, carried, last = self._take(carried, last)
            group = [operation for operation in group if operation.future.set_running_or_notify_cancel()]
            if group:
                self._serve(group)
        self._transactor.close()

    def _serve(self, group: Sequence[Operation[Any]]) -> None:
        """Commit a group and resolve its futures. Whatever fails, all are resolved, and the thread lives: all
        writes of the program go through it."""
        try:
            with _collector_off(group[0].alone):
                settled = self._settle(group)
        except BaseException as error:
            _log.exception("the store failed in a way that it should not", count=len(group), error=error)
            settled = _all(group, PersistenceError(f"the store failed: {error!r}"), error)
        self._resolve(settled)

    def _take(
        self, carried: Operation[Any] | None, last: bool
    ) -> tuple[list[Operation[Any]], Operation[Any] | None, bool]:
        """The next group: all that is waiting, up to what is large or wants a transaction of its own.

        Returns:
            The group; the one that ended it and comes next; whether nothing comes any more.
        """
        group: list[Operation[Any]] = []
        size = 0
        operation: Operation[Any] | None
        while len(group) < GROUP:
            if carried is not None:
                operation, carried = carried, None
            elif last:
                break
            else:
                try:
                    operation = self._waiting.get(block=not group)
                except queue.Empty:
                    break
            if operation is None:
                last = True
            elif not operation.alone and not (group and size + operation.size > GROUP_BYTES):
                group.append(operation)
                size += operation.size
            elif group:
                return group, operation, last
            else:
                return [operation], None, last
        return group, None, last

    def _settle(self, group: Sequence[Operation[Any]]) -> Settled:
        """Commit a group. If one of it may be at fault, halve it until that one stands alone."""
        for chance in range(_CHANCES):
            try:
                settled, _ = self._transactor.run(
                    lambda connection, now: _apply(group, UnitOfWork(connection, now, self._sound_parts)),
                    lambda applied, connection: applied[1].write(connection),
                )
                return settled
            except PersistenceError as error:
                return _all(group, error, error.__cause__)
            except Exception as error:
                kind = self._database.classify(error)
                if kind.may_be_one_call and len(group) > 1:
                    break
                if not isinstance(error, IntegrityError) or chance == _CHANCES - 1:
                    refused = for_caller(self._database, error)
                    if kind is not ErrorKind.DATA:
                        sentence = "the store refuses a call, which may be made again: %(error)s"
                        self._throttled.warn(sentence, error=refused, trace=kind.may_be_one_call)
                    return _all(group, refused, error)
        middle = len(group) // 2
        return self._settle(group[:middle]) + self._settle(group[middle:])

    def _resolve(self, settled: Settled) -> None:
        later: Settled = []
        for one in settled:
            later.append(one) if self.on_batch is not None and not one[0].prompt else _tell(one)
        if later and self.on_batch is not None:
            try:
                self.on_batch(lambda: _tell_all(later))
            except Exception as error:  # the event loop is closed, say
                _log.debug(
                    "on_batch failed (%(error)s); answering from the writer thread",
                    count=len(later),
                    error=error,
                )
                _tell_all(later)


@contextlib.contextmanager
def _collector_off(off: bool) -> Iterator[None]:
    """While a hundred thousand rows are read and made, looking for cycles among them takes a third of
    the time and finds none."""
    off = off and gc.isenabled()
    if off:
        gc.disable()
    try:
        yield
    finally:
        if off:
            gc.enable()


def _apply(group: Sequence[Operation[Any]], unit: UnitOfWork) -> tuple[Settled, Changes]:
    """What a group answers, and what is to be written for it."""
    needs = Needs()
    for operation in group:
        operation.find(unit)
        operation.need(needs)
        if operation.parts:
            needs.parts |= operation.parts
            needs.given.update(operation.given)
    unit.load(needs)
    outcomes: Settled = []
    for operation in group:
        try:
            if operation.parts:
                unit.take_parts(operation.parts, operation.given)
            outcomes.append((operation, operation.apply(unit)))
        except PersistenceError as refused:
            outcomes.append((operation, refused))
    unit.grants.settle()
    keep_parts(unit.changes, unit.rows, unit.parts_given)
    settled = [
        (operation, outcome if isinstance(outcome, Exception) else operation.answer(unit, outcome))
        for operation, outcome in outcomes
    ]
    unit.changes.notices = unit.happenings.notices(unit.connection)
    return settled, unit.changes


def _all(group: Sequence[Operation[Any]], error: PersistenceError, cause: BaseException | None) -> Settled:
    error.__cause__ = cause
    return [(operation, error) for operation in group]


def _tell_all(settled: Settled) -> None:
    for one in settled:
        _tell(one)


def _tell(one: tuple[Operation[Any], Any]) -> None:
    operation, answer = one
    if isinstance(answer, Exception):
        operation.future.set_exception(answer)
    else:
        operation.future.set_result(answer)
