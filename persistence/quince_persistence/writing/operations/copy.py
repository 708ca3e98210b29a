"""Everything of a store into another one, of either kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text, tuple_, update

from quince_persistence.databases.bootstrap import identity, prepare
from quince_persistence.databases.database import Database
from quince_persistence.errors import CopyRefused
from quince_persistence.records import Control, Selection
from quince_persistence.schema.tables import (
    PRUNED,
    awaits,
    cache,
    checkpoints,
    content_uses,
    contents,
    counters,
    events,
    inputs,
    labels,
    limit_uses,
    limits,
    notices,
    once,
    past_checkpoints,
    processes,
    receivers,
    refers,
    results,
    schedules,
    signals,
    workers,
)
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.control import ControlProcesses
from quince_persistence.writing.transaction import Transactions
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

TABLES = (
    processes, inputs, checkpoints, past_checkpoints, results, awaits, once, signals, events, labels, refers,
    limits, limit_uses, schedules, cache, contents, content_uses, workers,
    receivers, notices,
)  # fmt: skip
"""What is copied; who a store is stays its own, and the last pid is set."""

_BLOBS = frozenset({inputs, checkpoints, past_checkpoints, results, once, signals, schedules, contents})
ROWS, ROWS_WITH_BLOBS = 1000, 20
"""Rows that are in memory at a time."""
PATIENCE = 2.0
"""Seconds that a target is waited for that does not answer: no write is possible here meanwhile."""


class CopyTo(Operation[Mapping[str, int]]):
    """One transaction on either side: the copy is whole or not there, and no write happens here meanwhile.

    Args:
        target: Where to, an empty database or store.
        shown: Its URL, without a password.
        own: The identity of the store that is copied.
        alive: Seconds within which a worker's last heartbeat says that it lives.
        pause: Pause what lives here, since it goes on there.
    """

    alone = True

    def __init__(
        self, target: Database, shown: str, *, own: str, alive: float, author: str, pause: bool
    ) -> None:
        super().__init__()
        self._target, self._shown, self._own, self._alive = target, shown, own, alive
        reason = f"copied to {shown}, where it goes on"
        live = Selection(live=True)
        pausing = ControlProcesses(Control.PAUSE, live, author, reason, force=False, now=False)
        self._pause = pausing if pause else None

    def find(self, unit: UnitOfWork) -> None:
        if unit.connection.dialect.name == "postgresql":
            names = ", ".join(table.name for table in TABLES)
            unit.connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
        self._refuse_at_work(unit)
        if self._pause is not None:
            self._pause.find(unit)

    def need(self, needs: Needs) -> None:
        if self._pause is not None:
            self._pause.need(needs)

    def apply(self, unit: UnitOfWork) -> Mapping[str, int]:
        transactor = Transactions(self._target, patience=PATIENCE)
        try:
            prepare(self._target)
            if identity(self._target) == self._own:
                raise CopyRefused(f"{self._shown} is the store that is to be copied, or a copy of it")
            copied = transactor.run(lambda connection, _now: _copy(unit.connection, connection))
        except CopyRefused:
            raise
        except Exception as error:
            raise self._target.explain(error) from error
        finally:
            transactor.close()
            self._target.dispose()
        if self._pause is not None:
            self._pause.apply(unit)
            unit.connection.execute(update(schedules).values(paused=True, next_at=None))
        return copied

    def _refuse_at_work(self, unit: UnitOfWork) -> None:
        living = select(workers.c.name, workers.c.host).where(workers.c.heartbeat > unit.now - self._alive)
        names = [f"{name} on {host}" for name, host in unit.connection.execute(living)]
        if names:
            raise CopyRefused(
                f"workers are at work on this store ({', '.join(names[:5])}): end them first "
                "(`quince daemon stop`), or what they do meanwhile would not be copied"
            )


def _copy(source: Connection, target: Connection) -> Mapping[str, int]:
    """Returns how many rows of each table were copied."""
    there = target.execute(select(func.count()).select_from(processes)).scalar_one()
    if there:
        raise CopyRefused(
            f"the store that it is to be copied to has {there} processes of its own, and pids would collide; "
            "name an empty database"
        )
    counts = {table.name: _copy_table(table, source, target) for table in TABLES}
    for name in ("pid", PRUNED):
        last = source.execute(select(counters.c.value).where(counters.c.name == name)).scalar()
        target.execute(delete(counters).where(counters.c.name == name))
        if last is not None:
            target.execute(insert(counters), {"name": name, "value": last})
    if target.dialect.name == "postgresql":
        for table in (events, signals):
            target.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'seq'), "
                    f"greatest(1, (SELECT max(seq) FROM {table.name})))"
                )
            )
    return counts


def _copy_table(table: Table, source: Connection, target: Connection) -> int:
    count = 0
    for rows in _pages(table, source):
        # One statement for a row with a blob: what a driver may send before it reads an answer is limited.
        for row in [[row] for row in rows] if table in _BLOBS else [rows]:
            target.execute(insert(table), row)
        count += len(rows)
    return count


def _pages(table: Table, source: Connection) -> Iterator[Sequence[dict[str, Any]]]:
    """The rows, some at a time, in the order of the primary key."""
    key = list(table.primary_key.columns)
    some = select(table).order_by(*key).limit(ROWS_WITH_BLOBS if table in _BLOBS else ROWS)
    rows = source.execute(some).mappings().all()
    while rows:
        yield [dict(row) for row in rows]
        last = tuple_(*(rows[-1][column.name] for column in key), types=[column.type for column in key])
        rows = source.execute(some.where(tuple_(*key) > last)).mappings().all()
