"""The reads of daily work: rows of processes, their values, their history, and the workers."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, bindparam, case, func, literal_column, or_, select, union_all

from quince_persistence.codec.folding import is_folded, length
from quince_persistence.reading.looks import event_row
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.reading.schedule_rows import (
    DUE,
    EACH,
    NAMED,
    SCHEDULE_INPUTS,
    damaged,
    readable,
    schedule_row,
)
from quince_persistence.reading.selecting import ENDED, family, keepable, labelled, newest
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.reading.whole_values import CONTENTS, Parts, any_folded, values
from quince_persistence.reading.worker_rows import worker_row
from quince_persistence.records import EventRow, ProcessRow, Result, Selection, SignalRow, State
from quince_persistence.records.controls import PastStep
from quince_persistence.records.schedules import DamagedSchedule, ScheduleRow
from quince_persistence.records.steps import Recorded
from quince_persistence.records.workers import WorkerRow
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import (
    FAILED,
    PRUNED,
    awaits,
    checkpoints,
    counters,
    events,
    inputs,
    labels,
    once,
    past_checkpoints,
    processes,
    results,
    signals,
    workers,
)

PAGE = 500
_CHANCES = 3
"""How often a value is read of which a part is not there: another one may have taken its place meanwhile."""

_RARE = 2000
"""Labels that so many processes have are not rare."""

p = processes
_WIDTH = len(p.c)

_get = live_rows().where(p.c.pid == bindparam("pid"))
_by_key = live_rows().where(p.c.key == bindparam("key"))
_NEAR = 100
_keys_from = select(p.c.key).where(p.c.key >= bindparam("key")).order_by(p.c.key).limit(_NEAR)
_keys_before = select(p.c.key).where(p.c.key < bindparam("key")).order_by(p.c.key.desc()).limit(_NEAR)
_next_label = select(func.min(labels.c.name)).where(labels.c.name > bindparam("after"))
_pruned_to = select(counters.c.value).where(counters.c.name == PRUNED)
_tree_sizes = select(p.c.root, func.count()).where(one_of(p.c.root, "roots")).group_by(p.c.root)
_failures = (
    select(p.c.class_path, p.c.state, p.c.exit_status, func.count())
    .where(literal_column(FAILED), p.c.ended >= bindparam("since"))
    .group_by(p.c.class_path, p.c.state, p.c.exit_status)
)
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
_past_steps = (
    select(past_checkpoints.c.number, past_checkpoints.c.step)
    .where(past_checkpoints.c.pid == bindparam("pid"))
    .order_by(past_checkpoints.c.number)
)
_newest_step = (
    select(p.c.step).join(checkpoints, checkpoints.c.pid == p.c.pid).where(p.c.pid == bindparam("pid"))
)
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
_by_state = select(p.c.state, func.count()).group_by(p.c.state)
# Most are finished: those are counted as what is left of all, which SQLite counts page by page without a look
# at the rows, and PostgreSQL by the smallest index.
_counts = union_all(
    _by_state.where(p.c.state < State.FINISHED.value),
    _by_state.where(p.c.state > State.FINISHED.value),
    select(literal_column("''"), select(func.count()).select_from(p).scalar_subquery()),
)
# `> 0` means `is not null` here; SQLite looks into the index only for a comparison.
_backlog = select(p.c.queue, func.count()).where(p.c.idle_since > 0).group_by(p.c.queue)


class Reads(ABC):
    """The reads that `StoreContract` names; blocking, safe from any thread."""

    _sound_parts: SoundParts

    @abstractmethod
    def _reader(self) -> RowReader:
        """What reads. Raises StoreClosed if the store is not open."""

    def get(self, pid: int) -> ProcessRow | None:
        return self._one(_get, pid=pid)

    def find_key(self, key: str) -> ProcessRow | None:
        return self._one(_by_key, key=key) if keepable(key) else None

    def keys_near(self, key: str) -> list[str]:
        if not keepable(key):
            return []
        found = dict.fromkeys(
            row[0]
            for begin in dict.fromkeys((key, key[:3], key[:1]))
            for statement in (_keys_from, _keys_before)
            for row in self._reader().rows(statement, key=begin)
        )
        return list(found)

    def pruned_to(self) -> int:
        rows = self._reader().rows(_pruned_to)
        return int(rows[0][0]) if rows else 0

    def tree_sizes(self, roots: Sequence[int]) -> dict[int, int]:
        return dict(map(tuple, self._reader().rows(_tree_sizes, roots=list(roots))))

    def label_names(self) -> list[str]:
        names: list[str] = []
        while len(names) < _NEAR:  # from one to the next by the index, past all that have the same
            name = self._reader().rows(_next_label, after=names[-1] if names else "")[0][0]
            if name is None:
                break
            names.append(name)
        return names

    def failures(self, since: float) -> dict[tuple[str, State, int | None], int]:
        rows = self._reader().rows(_failures, since=since)
        return {(path, State(state), status): count for path, state, status, count in rows}

    def select(self, selection: Selection) -> list[ProcessRow]:
        statement, parameters = newest(live_rows(), selection, by_label=self._is_by_label(selection))
        return [frozen(row) for row in self._reader().rows(statement, **parameters)]

    def _is_by_label(self, selection: Selection) -> bool:
        """They are found by their labels: by an index that has the newest first, or few have them."""
        whole = any(value is not None for _, value in selection.labels)
        if not selection.labels or (whole and not (selection.live or selection.states)):
            return True
        if not all(keepable(word or "") for label in selection.labels for word in label):
            return True
        statement, parameters = labelled(selection, _RARE)
        return int(self._reader().rows(statement, **parameters)[0][0]) < _RARE

    def tree(self, pid: int) -> list[ProcessRow]:
        return _parents_first([frozen(row) for row in self._reader().rows(_tree, tops=[pid])])

    def results(self, pids: Sequence[int], *, small: int | None = None) -> list[Result]:
        if small is None:
            rows = self._whole(_results, (_WIDTH, _WIDTH + 1), pids=list(pids))
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

    def past_steps(self, pid: int) -> list[PastStep]:
        past = [PastStep(*row) for row in self._reader().rows(_past_steps, pid=pid)]
        return past + [PastStep(None, row[0]) for row in self._reader().rows(_newest_step, pid=pid)]

    def recorded(self, pid: int, key: str) -> Recorded | None:
        rows = self._whole(_recorded, (2,), pid=pid, key=key)
        return Recorded(*rows[0]) if rows else None

    def signals(self, pid: int) -> list[SignalRow]:
        return [SignalRow(*row) for row in self._whole(_signals, (3,), pid=pid)]

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
        return [event_row(row) for row in self._reader().rows(statement, pid=pid, after=after)]

    def started(self, pids: Sequence[int]) -> dict[int, float]:
        return {row[0]: row[1] for row in self._reader().rows(_started, pids=list(pids))}

    def schedule(self, name: str) -> ScheduleRow | None:
        rows = self._reader().rows(NAMED, name=name)
        return schedule_row(rows[0]) if rows else None

    def schedule_inputs(self, name: str) -> bytes | None:
        return self._value(SCHEDULE_INPUTS, name=name)

    def schedules(self) -> list[ScheduleRow]:
        return list(readable(self._reader().rows(EACH)))

    def damaged_schedules(self) -> list[DamagedSchedule]:
        return list(damaged(self._reader().rows(EACH)))

    def due_schedules(self, now: float | None = None) -> list[ScheduleRow]:
        rows = self._reader().rows(DUE, now=self.clock() if now is None else now)
        return list(readable(rows))

    @abstractmethod
    def clock(self) -> float:
        """The time by the clock of the store."""

    def workers(self) -> list[WorkerRow]:
        held = self.owners()
        rows = self._reader().rows(_workers)
        return [worker_row(row, held.get(row[0], 0)) for row in rows]

    def owners(self) -> dict[str, int]:
        return dict(map(tuple, self._reader().rows(_held)))

    def counts(self) -> dict[State, int]:
        found = dict(map(tuple, self._reader().rows(_counts)))
        found[State.FINISHED.value] = found.pop("") - sum(found.values())
        return {state: found.get(state.value, 0) for state in State}

    def backlog(self) -> dict[str, int]:
        return dict(map(tuple, self._reader().rows(_backlog)))

    def _one(self, statement: Select[Any], **parameters: Any) -> ProcessRow | None:
        rows = self._reader().rows(statement, **parameters)
        return frozen(rows[0]) if rows else None

    def _value(
        self, statement: Select[Any], *, within: float | None = None, **parameters: Any
    ) -> bytes | None:
        rows = self._whole(statement, (0,), within=within, **parameters)
        return rows[0][0] if rows else None

    def _parts(self, within: float | None = None) -> Parts:
        reader = self._reader()
        return Parts(
            lambda digests: reader.rows(CONTENTS, large=True, within=within, digests=digests),
            self._sound_parts,
        )

    def _whole(
        self,
        statement: Select[Any],
        columns: Sequence[int],
        *,
        within: float | None = None,
        **parameters: Any,
    ) -> Sequence[Sequence[Any]]:
        """The rows of a statement, with whole values in these columns."""
        reader, parts = self._reader(), self._parts(within)
        for _ in range(_CHANCES):
            rows = reader.rows(statement, large=True, within=within, **parameters)
            if not any_folded(rows, columns):
                return rows
            if parts.read_for(values(rows, columns)):
                break
        return [
            [parts.whole(value) if n in columns and value else value for n, value in enumerate(row)]
            for row in rows
        ]


def _small(row: ProcessRow, outputs: bytes | None, stored: int | None) -> Result:
    if outputs is not None and is_folded(outputs):  # with its parts it is larger
        stored, outputs = length(outputs), None
    return Result(row, outputs, None, unread=stored or 0 if outputs is None else 0)


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
