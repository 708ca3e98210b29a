"""What a transaction will write, gathered by table, and written in a few `executemany`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Connection,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)

from quince_persistence.databases.pipeline import execute_many
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.kept import Kept
from quince_persistence.schema.mutable_row import COLUMNS, MutableRow
from quince_persistence.schema.parts import Of
from quince_persistence.schema.tables import (
    awaits,
    cache,
    checkpoints,
    content_uses,
    contents,
    inputs,
    labels,
    limit_uses,
    limits,
    notices,
    once,
    past_checkpoints,
    processes,
    refers,
    results,
    signals,
)
from quince_persistence.schema.upsert import Upsert, or_replacing, unless_there
from quince_persistence.writing.bulk import insert_events, update_rows
from quince_persistence.writing.deleting import delete_processes

_QUIET = (
    "paused", "ready", "epoch", "intent", "intent_reason", "status", "step", "awaiting", "deaths",
    "deaths_alone",
    "updated", "tree_paused", "pause_void", "signals", "attempt", "wait_mode", "granted", "progress", "parts",
)  # fmt: skip
_INDEXED = (
    "state", "owner", "due", "idle_since", "deadline", "exit_status", "exit_message", "ended", "queue",
    "priority",
)  # fmt: skip
_NAMES = tuple(column.name for column in COLUMNS)

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Changes:
    """Everything that one transaction writes about processes.

    Attributes:
        inserted: Rows to insert, by pid.
        rows: Rows to update, by pid.
        labels, refers: Of those that are inserted.
        results: Outputs and error, by pid.
        inputs_replaced: New inputs by pid, of processes that are there.
        revised: What stands in the place of the bytes of a stored checkpoint, by pid.
        past: Processes whose stored checkpoint is kept, and the step that has followed it.
        checkpoints: New checkpoint by pid; None drops the stored one.
        once: Results of once-blocks; those of a process go with its checkpoint.
        signals: Signals to store.
        signals_used: Those that steps have used up, by `seq`.
        signals_dropped: Processes that ended with signals that were not used.
        awaits: What is awaited from now on, by pid of the one that waits.
        awaits_cleared: Those that wait for nothing any more (before `awaits`).
        awaits_over: Those that no process waits for any more.
        uses: Who holds, or waits for, a limit from now on.
        uses_dropped: Processes that do neither any more (before `uses`).
        limits: Limits to insert.
        limits_dropped: Those that go.
        tokens: What is left of rates.
        pruned: Processes of which nothing stays.
        cache: Who has ended well with what is asked for by which key.
        contents: Large parts of values that the store does not have, or has damaged, by digest.
        parts_used: Who uses which parts from now on.
        parts_kept: Whose parts of the checkpoint are used by a past one, too (before `parts_over`).
        parts_over: Who uses those of a kind no more (before `parts_used`).
        notices: What receivers are to be told.
    """

    inserted: dict[int, MutableRow] = field(default_factory=dict)
    rows: dict[int, MutableRow] = field(default_factory=dict)
    inputs: Rows = field(default_factory=list)
    labels: Rows = field(default_factory=list)
    refers: Rows = field(default_factory=list)
    inputs_replaced: dict[int, bytes] = field(default_factory=dict)
    revised: dict[int, bytes] = field(default_factory=dict)
    past: Rows = field(default_factory=list)
    checkpoints: dict[int, Kept | None] = field(default_factory=dict)
    results: dict[int, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    once: Rows = field(default_factory=list)
    signals: Rows = field(default_factory=list)
    signals_used: list[int] = field(default_factory=list)
    signals_dropped: list[int] = field(default_factory=list)
    awaits: dict[int, set[int]] = field(default_factory=dict)
    awaits_cleared: set[int] = field(default_factory=set)
    awaits_over: set[int] = field(default_factory=set)
    uses: Rows = field(default_factory=list)
    uses_dropped: set[int] = field(default_factory=set)
    limits: Rows = field(default_factory=list)
    limits_dropped: list[str] = field(default_factory=list)
    tokens: Rows = field(default_factory=list)
    events: Rows = field(default_factory=list)
    pruned: list[int] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    parts_used: Rows = field(default_factory=list)
    parts_kept: list[int] = field(default_factory=list)
    parts_over: Rows = field(default_factory=list)
    notices: Rows = field(default_factory=list)

    def write(self, connection: Connection) -> None:
        """Write it all: no order matters but that old awaits go before new ones come, and signals come
        before those of processes that have ended go."""
        inserted = [{name: getattr(row, name) for name in _NAMES} for row in self.inserted.values()]
        execute_many(connection, processes.insert(), inserted)
        execute_many(connection, inputs.insert(), self.inputs)
        execute_many(connection, labels.insert(), self.labels)
        execute_many(connection, _KEEP_REFERS[connection.dialect.name], self.refers)
        replaced = [{"at": pid, "new": blob} for pid, blob in self.inputs_replaced.items()]
        execute_many(connection, _replace_inputs, replaced)
        self._write_rows(connection)
        if (self.once or self.contents) and not (self.inserted or self.rows):
            connection.execute(_nothing)
        self._write_contents(connection)
        execute_many(connection, _KEEP_FIRST[connection.dialect.name], self.once)
        self._write_checkpoints(connection)
        ends = [{"pid": pid, "outputs": out, "error": err} for pid, (out, err) in self.results.items()]
        execute_many(connection, _upsert(connection, results), ends)
        known = [{"key": key, "pid": pid} for key, pid in sorted(self.cache.items())]
        execute_many(connection, _upsert(connection, cache), known)
        self._write_awaits(connection)
        self._write_signals(connection)
        self._write_limits(connection)
        insert_events(connection, self.events)
        execute_many(connection, _NOTICE[connection.dialect.name], self.notices)
        if self.pruned:
            delete_processes(connection, self.pruned)

    def _write_rows(self, connection: Connection) -> None:
        quiet: list[MutableRow] = []
        full: list[MutableRow] = []
        for row in self.rows.values():
            (full if row.index_changed or row.ended is not None else quiet).append(row)
        update_rows(connection, quiet, _QUIET)
        update_rows(connection, full, _QUIET + _INDEXED)

    def _write_contents(self, connection: Connection) -> None:
        dialect = connection.dialect.name
        for digest, blob in sorted(self.contents.items()):  # each by itself: they are large
            connection.execute(_CONTENT[dialect], {"digest": digest, "blob": blob})
        if self.parts_kept:
            connection.execute(_KEEP_USED[dialect], {"pids": self.parts_kept})
        execute_many(connection, _use_no_more, self.parts_over)
        execute_many(connection, _USE[dialect], self.parts_used)

    def _write_checkpoints(self, connection: Connection) -> None:
        execute_many(connection, _keep_past, self.past)
        revised = [{"pid": pid, "blob": blob} for pid, blob in self.revised.items()]
        execute_many(connection, _REVISE[connection.dialect.name], revised)
        kept = [{"pid": pid, **new._asdict()} for pid, new in self.checkpoints.items() if new is not None]
        dropped = [pid for pid, new in self.checkpoints.items() if new is None]
        execute_many(connection, _upsert(connection, checkpoints), kept)
        if dropped:
            connection.execute(_drop_checkpoints, {"pids": dropped})
            connection.execute(_drop_once, {"pids": dropped})

    def _write_awaits(self, connection: Connection) -> None:
        if self.awaits_cleared:
            connection.execute(_clear_awaits, {"pids": sorted(self.awaits_cleared)})
        if self.awaits_over:
            connection.execute(_over_awaits, {"pids": sorted(self.awaits_over)})
        rows = [{"pid": pid, "child": child} for pid, children in self.awaits.items() for child in children]
        execute_many(connection, awaits.insert(), rows)

    def _write_signals(self, connection: Connection) -> None:
        execute_many(connection, _insert_signals, self.signals)
        if self.signals_used:
            connection.execute(_drop_used, {"seqs": self.signals_used})
        if self.signals_dropped:
            connection.execute(_drop_signals, {"pids": self.signals_dropped})

    def _write_limits(self, connection: Connection) -> None:
        if self.uses_dropped:
            connection.execute(_drop_uses, {"pids": sorted(self.uses_dropped)})
        execute_many(connection, limit_uses.insert(), self.uses)
        execute_many(connection, limits.insert(), self.limits)
        execute_many(connection, _set_tokens, self.tokens)
        if self.limits_dropped:
            connection.execute(_drop_limits, {"names": self.limits_dropped})


_nothing = text("SELECT 1")
"""Before a large value: until the first statement has arrived as a whole, PostgreSQL takes a transaction for
idle, and the connection for one to give up."""
_replace_inputs = update(inputs).where(inputs.c.pid == bindparam("at")).values(blob=bindparam("new"))
_drop_checkpoints = delete(checkpoints).where(one_of(checkpoints.c.pid, "pids"))
_before = checkpoints.alias("before")
_keep_past = (
    insert(past_checkpoints)
    .from_select(
        ["pid", "number", "step", "blob", "awaits", "replaced", "wait"],
        select(
            processes.c.pid,
            select(func.coalesce(func.max(past_checkpoints.c.number), 0) + 1)
            .where(past_checkpoints.c.pid == bindparam("at"))
            .scalar_subquery(),
            cast(bindparam("ran"), Text),
            func.coalesce(_before.c.blob, literal(b"")),
            *(_before.c[name] for name in ("awaits", "replaced", "wait")),
        )
        .select_from(processes.outerjoin(_before, _before.c.pid == processes.c.pid))
        .where(processes.c.pid == bindparam("at")),
    )
    .inline()
)
_drop_once = delete(once).where(one_of(once.c.pid, "pids"))
_insert_signals = signals.insert().inline()  # their numbers are not needed
_drop_used = delete(signals).where(one_of(signals.c.seq, "seqs"))
_drop_signals = delete(signals).where(one_of(signals.c.pid, "pids"))
_clear_awaits = delete(awaits).where(one_of(awaits.c.pid, "pids"))
_drop_uses = delete(limit_uses).where(one_of(limit_uses.c.pid, "pids"))
_drop_limits = delete(limits).where(one_of(limits.c.name, "names"))
_set_tokens = (
    update(limits)
    .where(limits.c.name == bindparam("at"))
    .values({name: bindparam(name) for name in ("tokens", "stamp")})
)
_over_awaits = delete(awaits).where(one_of(awaits.c.child, "pids"))


_UPSERTS = {
    checkpoints: or_replacing(checkpoints, "blob", "awaits", "replaced", "wait"),
    results: or_replacing(results, "outputs", "error"),
    cache: or_replacing(cache, "pid"),
}
_REVISE = or_replacing(checkpoints, "blob")
_KEEP_REFERS = unless_there(refers)
_KEEP_FIRST = unless_there(once)
_NOTICE = unless_there(notices)
# One that is damaged is mended. One that another transaction has written meanwhile is locked by that, too: it
# cannot go before this one commits.
_CONTENT = or_replacing(contents, "blob")
_USE = unless_there(content_uses)
_of_checkpoints = select(content_uses.c.digest, content_uses.c.pid, literal_column(str(int(Of.PAST)))).where(
    one_of(content_uses.c.pid, "pids"), content_uses.c.kind == int(Of.CHECKPOINT)
)
_KEEP_USED = Upsert(
    lambda insert: (
        insert(content_uses).from_select(["digest", "pid", "kind"], _of_checkpoints).on_conflict_do_nothing()
    )
)
_use_no_more = delete(content_uses).where(
    content_uses.c.pid == bindparam("at"), content_uses.c.kind == bindparam("of")
)


def _upsert(connection: Connection, table: Any) -> Any:
    return _UPSERTS[table][connection.dialect.name]
