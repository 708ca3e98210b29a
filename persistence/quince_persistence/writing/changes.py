"""What a transaction will write, gathered by table, and written in a few `executemany`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, text
from sqlalchemy.dialects import postgresql, sqlite

from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import COLUMNS, MutableRow
from quince_persistence.schema.tables import awaits, checkpoints, inputs, once, processes, results, signals
from quince_persistence.writing.bulk import insert_events, update_rows

_QUIET = (
    "paused", "ready", "epoch", "intent", "intent_reason", "status", "step", "awaiting", "deaths",
    "deaths_alone",
    "updated", "tree_paused", "pause_void", "signals",
)  # fmt: skip
_INDEXED = ("state", "owner", "due", "idle_since", "exit_status", "exit_message", "ended")
_NAMES = tuple(column.name for column in COLUMNS)

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Changes:
    """Everything that one transaction writes about processes.

    Attributes:
        inserted: Rows to insert, by pid.
        rows: Rows to update, by pid.
        results: Outputs and error, by pid.
        checkpoints: New checkpoint by pid; None drops the stored one.
        once: Results of once-blocks; those of a process go with its checkpoint.
        signals: Signals to store.
        signals_used: Those that steps have used up, by `seq`.
        signals_dropped: Processes that ended with signals that were not used.
        awaits: What is awaited from now on, by pid of the one that waits.
        awaits_cleared: Those that wait for nothing any more (before `awaits`).
        awaits_over: Those that no process waits for any more.
    """

    inserted: dict[int, MutableRow] = field(default_factory=dict)
    rows: dict[int, MutableRow] = field(default_factory=dict)
    inputs: Rows = field(default_factory=list)
    checkpoints: dict[int, bytes | None] = field(default_factory=dict)
    results: dict[int, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    once: Rows = field(default_factory=list)
    signals: Rows = field(default_factory=list)
    signals_used: list[int] = field(default_factory=list)
    signals_dropped: list[int] = field(default_factory=list)
    awaits: dict[int, set[int]] = field(default_factory=dict)
    awaits_cleared: set[int] = field(default_factory=set)
    awaits_over: set[int] = field(default_factory=set)
    events: Rows = field(default_factory=list)

    def write(self, connection: Connection) -> None:
        """Write it all: no order matters but that old awaits go before new ones come, and signals come
        before those of processes that have ended go."""
        inserted = [{name: getattr(row, name) for name in _NAMES} for row in self.inserted.values()]
        _many(connection, processes.insert(), inserted)
        _many(connection, inputs.insert(), self.inputs)
        self._write_rows(connection)
        self._write_once(connection)
        self._write_checkpoints(connection)
        ends = [{"pid": pid, "outputs": out, "error": err} for pid, (out, err) in self.results.items()]
        _many(connection, _upsert(connection, results), ends)
        self._write_awaits(connection)
        self._write_signals(connection)
        insert_events(connection, self.events)

    def _write_rows(self, connection: Connection) -> None:
        quiet: list[MutableRow] = []
        full: list[MutableRow] = []
        for row in self.rows.values():
            (full if row.index_changed or row.ended is not None else quiet).append(row)
        update_rows(connection, quiet, _QUIET)
        update_rows(connection, full, _QUIET + _INDEXED)

    def _write_once(self, connection: Connection) -> None:
        """Never as the first statement: until it has arrived as a whole, PostgreSQL takes a transaction for
        idle, and the connection for one to give up."""
        if self.once and not (self.inserted or self.rows):
            connection.execute(_nothing)
        _many(connection, _KEEP_FIRST[connection.dialect.name], self.once)

    def _write_checkpoints(self, connection: Connection) -> None:
        kept = [{"pid": pid, "blob": blob} for pid, blob in self.checkpoints.items() if blob is not None]
        dropped = [pid for pid, blob in self.checkpoints.items() if blob is None]
        _many(connection, _upsert(connection, checkpoints), kept)
        if dropped:
            connection.execute(_drop_checkpoints, {"pids": dropped})
            connection.execute(_drop_once, {"pids": dropped})

    def _write_awaits(self, connection: Connection) -> None:
        if self.awaits_cleared:
            connection.execute(_clear_awaits, {"pids": sorted(self.awaits_cleared)})
        if self.awaits_over:
            connection.execute(_over_awaits, {"pids": sorted(self.awaits_over)})
        rows = [{"pid": pid, "child": child} for pid, children in self.awaits.items() for child in children]
        _many(connection, awaits.insert(), rows)

    def _write_signals(self, connection: Connection) -> None:
        _many(connection, _insert_signals, self.signals)
        if self.signals_used:
            connection.execute(_drop_used, {"seqs": self.signals_used})
        if self.signals_dropped:
            connection.execute(_drop_signals, {"pids": self.signals_dropped})


_nothing = text("SELECT 1")
_drop_checkpoints = delete(checkpoints).where(one_of(checkpoints.c.pid, "pids"))
_drop_once = delete(once).where(one_of(once.c.pid, "pids"))
_insert_signals = signals.insert().inline()  # their numbers are not needed
_drop_used = delete(signals).where(one_of(signals.c.seq, "seqs"))
_drop_signals = delete(signals).where(one_of(signals.c.pid, "pids"))
_clear_awaits = delete(awaits).where(one_of(awaits.c.pid, "pids"))
_over_awaits = delete(awaits).where(one_of(awaits.c.child, "pids"))


def _many(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _make_upsert(dialect: Any, table: Any, columns: tuple[str, ...]) -> Any:
    statement = dialect.insert(table)
    return statement.on_conflict_do_update(
        index_elements=["pid"], set_={name: statement.excluded[name] for name in columns}
    )


_UPSERTS = {
    (name, table): _make_upsert(dialect, table, columns)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
    for table, columns in ((checkpoints, ("blob",)), (results, ("outputs", "error")))
}

_KEEP_FIRST: dict[str, Any] = {
    "sqlite": sqlite.insert(once).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(once).on_conflict_do_nothing(),
}


def _upsert(connection: Connection, table: Any) -> Any:
    return _UPSERTS[connection.dialect.name, table]
