"""The reads of daily work: rows of processes, their values, their history, and the workers."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, and_, bindparam, case, func, or_, select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.reading.selecting import ENDED, chosen, family
from quince_persistence.reading.worker_rows import worker_row
from quince_persistence.records import (
    EventRow,
    ProcessRow,
    Recorded,
    Result,
    Selection,
    SignalRow,
    State,
    WorkerRow,
)
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import (
    awaits,
    checkpoints,
    events,
    inputs,
    once,
    processes,
    results,
    signals,
    workers,
)

PAGE = 500

p = processes
_WIDTH = len(p.c)

_get = live_rows().where(p.c.pid == bindparam("pid"))
_by_key = live_rows().where(p.c.key == bindparam("key"))
_tree = live_rows().where(p.c.pid.in_(select(family.c.pid))).order_by(p.c.pid)
_results = (
    live_rows()
    .add_columns(results.c.outputs, results.c.error)
    .select_from(p.outerjoin(results, results.c.pid == p.c.pid))
    .where(one_of(p.c.pid, "pids"))
)
_length = func.length(results.c.outputs)
_small_results = (
    live_rows()
    .add_columns(case((_length <= bindparam("small"), results.c.outputs)), _length)
    .select_from(p.outerjoin(results, results.c.pid == p.c.pid))
    .where(one_of(p.c.pid, "pids"))
)
_outputs = select(results.c.outputs).where(results.c.pid == bindparam("pid"))
_inputs = select(inputs.c.blob).where(inputs.c.pid == bindparam("pid"))
_checkpoint = select(checkpoints.c.blob).where(checkpoints.c.pid == bindparam("pid"))
_recorded = (
    select(p.c.owner, p.c.epoch, once.c.blob)
    .select_from(p.outerjoin(once, and_(once.c.pid == p.c.pid, once.c.key == bindparam("key"))))
    .where(p.c.pid == bindparam("pid"))
)
_signals = (
    select(*(signals.c[field] for field in ("seq", "pid", "name", "blob", "author", "at")))
    .where(signals.c.pid == bindparam("pid"))
    .order_by(signals.c.seq)
)
_awaited = (
    live_rows()
    .join(awaits, awaits.c.child == p.c.pid)
    .where(awaits.c.pid == bindparam("pid"), p.c.state.not_in(ENDED))
    .order_by(p.c.pid)
)
_claims = select(p.c.pid, p.c.epoch).where(p.c.owner == bindparam("owner"))
_awaited_in_tree = (
    select(awaits.c.pid, awaits.c.child)
    .where(awaits.c.pid.in_(select(family.c.pid)))
    .order_by(awaits.c.pid, awaits.c.child)
)
_asked = live_rows().where(
    p.c.owner == bindparam("owner"), or_(p.c.intent.is_not(None), p.c.paused.is_(True))
)
_events = (
    select(events)
    .where(events.c.pid == bindparam("pid"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
)
_started = (
    select(events.c.pid, func.min(events.c.at))
    .where(
        one_of(events.c.pid, "pids"),
        events.c.kind == "state",
        events.c.body.like('{"from":"created","to":"running"%'),
    )
    .group_by(events.c.pid)
)
_held = select(p.c.owner, func.count()).where(p.c.owner.is_not(None)).group_by(p.c.owner)
_workers = select(workers).order_by(workers.c.started, workers.c.id)
_counts = select(p.c.state, func.count()).group_by(p.c.state)
# `> 0` means `is not null` here; SQLite looks into the index only for a comparison.
_backlog = select(p.c.queue, func.count()).where(p.c.idle_since > 0).group_by(p.c.queue)


class Reads(ABC):
    """The reads that `StoreContract` names; blocking, safe from any thread."""

    @abstractmethod
    def _reader(self) -> RowReader:
        """What reads. Raises StoreClosed if the store is not open."""

    def get(self, pid: int) -> ProcessRow | None:
        return self._one(_get, pid=pid)

    def find_key(self, key: str) -> ProcessRow | None:
        if "\0" in key or key != key.encode("utf-8", "ignore").decode():
            return None  # no store keeps such a text
        return self._one(_by_key, key=key)

    def select(self, selection: Selection) -> list[ProcessRow]:
        statement, parameters = chosen(live_rows(), selection)
        return [frozen(row) for row in self._reader().rows(statement, **parameters)]

    def tree(self, pid: int) -> list[ProcessRow]:
        return _parents_first([frozen(row) for row in self._reader().rows(_tree, tops=[pid])])

    def results(self, pids: Sequence[int], *, small: int | None = None) -> list[Result]:
        if small is None:
            rows = self._reader().rows(_results, large=True, pids=list(pids))
            found = {row[0]: Result(frozen(row), row[_WIDTH], row[_WIDTH + 1]) for row in rows}
        else:
            rows = self._reader().rows(_small_results, pids=list(pids), small=small)
            found = {row[0]: _small(frozen(row), row[_WIDTH], row[_WIDTH + 1]) for row in rows}
        return [found[pid] for pid in pids if pid in found]

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        return self._value(_outputs, within=within, pid=pid)

    def inputs(self, pid: int) -> bytes | None:
        return self._value(_inputs, pid=pid)

    def checkpoint(self, pid: int) -> bytes | None:
        return self._value(_checkpoint, pid=pid)

    def recorded(self, pid: int, key: str) -> Recorded | None:
        rows = self._reader().rows(_recorded, large=True, pid=pid, key=key)
        return Recorded(*rows[0]) if rows else None

    def signals(self, pid: int) -> list[SignalRow]:
        return [SignalRow(*row) for row in self._reader().rows(_signals, large=True, pid=pid)]

    def awaited(self, pid: int) -> list[ProcessRow]:
        return [frozen(row) for row in self._reader().rows(_awaited, pid=pid)]

    def claims(self, owner: str) -> dict[int, int]:
        return dict(map(tuple, self._reader().rows(_claims, owner=owner)))

    def awaited_in_tree(self, pid: int) -> dict[int, list[int]]:
        awaited: dict[int, list[int]] = {}
        for waiting, child in self._reader().rows(_awaited_in_tree, tops=[pid]):
            awaited.setdefault(waiting, []).append(child)
        return awaited

    def asked(self, owner: str) -> list[ProcessRow]:
        return [frozen(row) for row in self._reader().rows(_asked, owner=owner)]

    def events(self, pid: int, *, after: int = 0, limit: int | None = None) -> list[EventRow]:
        statement = _events if limit is None else _events.limit(limit)
        return [
            EventRow(seq, of, at, kind, msgspec.json.decode(body), author)
            for seq, of, at, kind, body, author in self._reader().rows(statement, pid=pid, after=after)
        ]

    def started(self, pids: Sequence[int]) -> dict[int, float]:
        return {row[0]: row[1] for row in self._reader().rows(_started, pids=list(pids))}

    def workers(self) -> list[WorkerRow]:
        held = self.owners()
        rows = self._reader().rows(_workers)
        return [worker_row(row, held.get(row[0], 0)) for row in rows]

    def owners(self) -> dict[str, int]:
        return dict(map(tuple, self._reader().rows(_held)))

    def counts(self) -> dict[State, int]:
        found = dict(map(tuple, self._reader().rows(_counts)))
        return {state: found.get(state.value, 0) for state in State}

    def backlog(self) -> dict[str, int]:
        return dict(map(tuple, self._reader().rows(_backlog)))

    def _one(self, statement: Select[Any], **parameters: Any) -> ProcessRow | None:
        rows = self._reader().rows(statement, **parameters)
        return frozen(rows[0]) if rows else None

    def _value(
        self, statement: Select[Any], *, within: float | None = None, **parameters: Any
    ) -> bytes | None:
        rows = self._reader().rows(statement, large=True, within=within, **parameters)
        return rows[0][0] if rows else None


def _small(row: ProcessRow, outputs: bytes | None, length: int | None) -> Result:
    return Result(row, outputs, None, unread=length or 0 if outputs is None else 0)


def frozen(row: Any) -> ProcessRow:
    """The process of a row that begins with the columns of `live_rows`."""
    return MutableRow(*row[:_WIDTH]).frozen()


def _parents_first(rows: list[ProcessRow]) -> list[ProcessRow]:
    """By pid, but none before its parent (a pid of an old block may be given to a late child)."""
    there = {row.pid for row in rows}
    below: dict[int | None, list[tuple[int, ProcessRow]]] = defaultdict(list)
    for row in rows:
        below[row.parent if row.parent in there else None].append((row.pid, row))
    next_ones = below.pop(None, [])
    heapq.heapify(next_ones)
    ordered: list[ProcessRow] = []
    while next_ones:
        pid, row = heapq.heappop(next_ones)
        ordered.append(row)
        for child in below.pop(pid, ()):
            heapq.heappush(next_ones, child)
    return ordered
