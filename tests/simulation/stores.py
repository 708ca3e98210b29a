"""The store of the simulated world: real transactions in memory, whose time and answer the world decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import func, select

from quince_persistence.databases.bootstrap import prepare
from quince_persistence.databases.opening import database_of
from quince_persistence.databases.sqlite import SQLite
from quince_persistence.errors import StoreClosed, StoreUnavailable
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records.notices import Sent
from quince_persistence.schema.tables import counters, metadata, schema
from quince_persistence.store import Store
from quince_persistence.writing.group_commit import GroupCommit, Settled, _all
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.pids import AllocatePids
from quince_persistence.writing.transaction import Transactions
from tests.simulation.rationing import broken
from tests.simulation.receivers import Told
from tests.simulation.world import Actor, World

WRITE = 0.0008
SLOW_WRITE = 0.4
PATIENCE = 4.0
"""Seconds after which a writer gives up a database that is away."""


class Archive:
    """One database in memory, for all stores of all simulations of this interpreter, one after the other.

    Attributes:
        rationed: There are limits, which are looked after with each commit.
        told: Those who are told of what happens; so are they.
    """

    def __init__(self) -> None:
        database = database_of("sqlite://")
        assert isinstance(database, SQLite)
        self.database = database
        prepare(database)
        self.transactor = Transactions(database)
        self.reads = RowReader(database)
        self.rationed = False
        self.told: Told | None = None

    def wipe(self) -> None:
        """Leave nothing of the simulation before."""
        self.rationed, self.told = False, None

        def work(connection: Any, _now: float) -> None:
            for table in metadata.sorted_tables:
                if table is not schema and table is not counters:
                    connection.execute(table.delete())
            connection.execute(counters.update().values(value=0))

        self.transactor.run(work)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.reads.rows(select(func.count()).select_from(metadata.tables[table]))[0][0])

    def close(self) -> None:
        self.transactor.close()
        self.database.dispose()


class Cable:
    """What leads from one actor to the database.

    Attributes:
        cut_until: Nothing gets through before.
        swallows: The next commit with such an operation is kept, and answered as if nobody knew.
        gone: The world has ended.
    """

    def __init__(self) -> None:
        self.cut_until = 0.0
        self.swallows: type[Operation[Any]] | None = None
        self.gone = False

    def cut(self, until: float) -> None:
        self.cut_until = max(self.cut_until, until)

    def lose_answer_to(self, kind: type[Operation[Any]]) -> None:
        self.swallows = kind

    def mend(self) -> None:
        self.cut_until = 0.0

    def swallowed(self, group: list[Operation[Any]]) -> bool:
        """Whether the answer to this group is lost."""
        if self.swallows is None or not any(isinstance(one, self.swallows) for one in group):
            return False
        self.swallows = None
        return True


Witness = Callable[[Actor, Operation[Any], Any], None]
"""Told of every operation that was committed, and its outcome, whether or not anybody hears of it."""


class SteppedWriter(GroupCommit):
    """The writer of a store, without its thread: the world lets it commit a group at a time."""

    def __init__(self, archive: Archive, world: World, actor: Actor, cable: Cable, witness: Witness) -> None:
        super().__init__(archive.database, patience=PATIENCE)
        self._transactor = archive.transactor
        self._archive = archive
        self._world, self._actor, self._cable, self._witness = world, actor, cable, witness
        self._carried: Operation[Any] | None = None
        self._busy = False

    def start(self) -> None:
        self._open = True

    def stop(self) -> None:
        self._open = False
        while self._anything():
            group = self._next()
            self._answer(self._refused(group) if self._cut else self._committed(group))

    def submit(self, operation: Operation[Any]) -> None:
        super().submit(operation)
        self._stir()

    def finish(self, operation: Operation[Any]) -> None:
        """Somebody blocks for it: commit all that is before it, and it, now."""
        while not operation.future.done() and self._anything():
            self._answer(self._committed(self._next()))

    @property
    def _cut(self) -> bool:
        return self._cable.cut_until > self._world.now

    def _anything(self) -> bool:
        return self._carried is not None or not self._waiting.empty()

    def _stir(self) -> None:
        if not self._busy and self._anything():
            self._busy = True
            world = self._world
            world.after(world.delay(WRITE, SLOW_WRITE), self._actor, "store", self._turn)

    def _next(self) -> list[Operation[Any]]:
        group, self._carried, _ = self._take(self._carried, False)
        return [operation for operation in group if operation.future.set_running_or_notify_cancel()]

    def _turn(self) -> None:
        group = self._next() if self._anything() else []
        if not group:
            self._rest()
        elif not self._cut:
            settled = self._committed(group)
            lost = self._cable.swallowed(group)
            self._answer(self._refused(group, in_doubt=True) if lost else settled)
            self._rest()
        else:
            self._wait(group)

    def _wait(self, group: list[Operation[Any]]) -> None:
        """The cable is cut. Sometimes that happens just after the commit, and nobody can know."""
        world, patience = self._world, self._world.now + PATIENCE
        doubtful = world.random.random() < 0.3
        settled = self._committed(group) if doubtful else None

        def again() -> None:
            if self._cut and world.now < patience:
                self._later(again)
            elif self._cut:
                self._answer(self._refused(group, in_doubt=doubtful))
                self._rest()
            else:
                self._answer(self._committed(group) if settled is None else settled)
                self._rest()

        self._later(again)

    def _later(self, again: Callable[[], None]) -> None:
        world = self._world
        wait = min(self._cable.cut_until - world.now, PATIENCE)
        world.after(wait + world.delay(WRITE), self._actor, "store again", again)

    def _rest(self) -> None:
        self._busy = False
        self._stir()

    def _committed(self, group: list[Operation[Any]]) -> Settled:
        settled = self._settle(group) if group else []
        for operation, answer in settled:
            self._world.note(f"{self._actor.name} committed {type(operation).__name__}")
            if not isinstance(answer, Exception):
                self._witness(self._actor, operation, answer)
        if self._archive.rationed:
            self._world.complaints.extend(broken(self._archive.reads))
        if self._archive.told is not None:
            self._archive.told.look(self._archive.reads)
        return settled

    def _refused(self, group: list[Operation[Any]], *, in_doubt: bool = False) -> Settled:
        error = StoreUnavailable("the simulated database is away", in_doubt=in_doubt)
        return _all(group, error, None)

    def _answer(self, settled: Settled) -> None:
        if settled:
            self._resolve(settled)


class SteppedStore(Store):
    """The store of one actor, on the archive.

    Args:
        blocking: Its callers wait for every write (they have no event loop).
    """

    def __init__(
        self,
        archive: Archive,
        world: World,
        actor: Actor,
        cable: Cable,
        witness: Witness,
        *,
        blocking: bool = False,
    ) -> None:
        super().__init__("sqlite://")
        self._identity = "simulated"
        self._database, self._rows = archive.database, archive.reads
        self._world, self._cable, self._blocking = world, cable, blocking
        self._stepped = SteppedWriter(archive, world, actor, cable, witness)

    def open(self) -> None:
        if self._cable.cut_until > self._world.now:
            raise StoreUnavailable("the simulated database is away")
        self._writer = self._stepped
        self._stepped.on_batch = self._on_batch
        self._stepped.start()

    def close(self) -> None:
        if self._writer is not None:
            self._writer = None
            self._stepped.stop()

    def _reader(self) -> RowReader:
        if self._cable.gone:
            raise StoreClosed("the simulation is over")
        if self._cable.cut_until > self._world.now:
            raise StoreUnavailable("the simulated database is away")
        return super()._reader()

    def settle_notices(self, sent: Sequence[Sent], owner: str) -> Future[None]:
        """While the cable is cut it fails; sometimes that happens just after the commit."""
        if self._cable.cut_until <= self._world.now:
            return super().settle_notices(sent, owner)
        if doubtful := self._world.random.random() < 0.3:
            super().settle_notices(sent, owner)
        raise StoreUnavailable("the simulated database is away", in_doubt=doubtful)

    def _write(self, operation: Operation[Any], *, aside: bool = False) -> Any:
        if self._cable.gone:
            raise StoreClosed("the simulation is over")
        future = super()._write(operation)
        if self._blocking or isinstance(operation, AllocatePids) or (operation.prompt and not _on_loop()):
            self._stepped.finish(operation)
        return future


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
