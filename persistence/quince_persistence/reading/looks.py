"""The reads of those who look: children level by level, histories of many, what ends when, queues.

Each reads by an index no more rows than it answers with, or counts, however many processes there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Float, bindparam, case, func, literal_column, select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import TERMINAL, EventRow, ProcessRow, State, Tally
from quince_persistence.records.workers import QueueRow
from quince_persistence.schema.in_list import one_of, whole
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import FAILED, PAUSED, awaits, events, processes

p, e = processes, events

CHILDREN = (
    live_rows().where(one_of(p.c.parent, "parents")).order_by(p.c.parent, p.c.pid).limit(bindparam("most"))
)
CHILD_COUNTS = select(p.c.parent, func.count()).where(one_of(p.c.parent, "parents")).group_by(p.c.parent)
_failed = case((literal_column(FAILED), 1), else_=0).label("failed")
TALLIES = (
    select(p.c.parent, p.c.state, p.c.paused, _failed, func.count())
    .where(one_of(p.c.parent, "parents"))
    .group_by(p.c.parent, p.c.state, p.c.paused, "failed")
)
AWAITED = select(awaits.c.pid, awaits.c.child).where(one_of(awaits.c.pid, "pids")).order_by(*awaits.c)
HISTORIES = select(e).where(one_of(e.c.pid, "pids"), one_of(e.c.kind, "kinds")).order_by(e.c.pid, e.c.seq)
_since, _width = bindparam("since", type_=Float), bindparam("width", type_=Float)
_place = whole((p.c.ended - _since) / _width).label("place")
ENDS = select(_place, func.count()).where(p.c.ended >= _since).group_by("place")
FAILED_ENDS = ENDS.where(literal_column(FAILED))
LAST_FAILED = live_rows().where(literal_column(FAILED)).order_by(p.c.ended.desc()).limit(bindparam("most"))
# Grouped by the state itself, SQLite would go through all rows in the order of the index of states.
_its_state = p.c.state.concat(literal_column("''")).label("its_state")
PAUSED_COUNTS = select(_its_state, func.count()).where(literal_column(PAUSED)).group_by("its_state")
LIVE_COUNTS = (
    select(p.c.class_path, p.c.state, func.count())
    .where(p.c.state.in_(sorted(state.value for state in set(State) - TERMINAL)))
    .group_by(p.c.class_path, p.c.state)
)
# `> 0` means `is not null` here; SQLite looks into the index only for a comparison.
QUEUES = (
    select(p.c.queue, func.count(), func.min(p.c.idle_since)).where(p.c.idle_since > 0).group_by(p.c.queue)
)


class LookReads(ABC):
    """Those reads that `StoreContract` names."""

    @abstractmethod
    def _reader(self) -> RowReader:
        """What reads. Raises StoreClosed if the store is not open."""

    def children(self, parents: Sequence[int], *, most: int) -> list[ProcessRow]:
        rows = self._reader().rows(CHILDREN, parents=list(parents), most=most)
        return [MutableRow(*row).frozen() for row in rows]

    def child_counts(self, parents: Sequence[int]) -> dict[int, int]:
        return dict(map(tuple, self._reader().rows(CHILD_COUNTS, parents=list(parents))))

    def tallies(self, parents: Sequence[int]) -> dict[int, list[Tally]]:
        found: dict[int, list[Tally]] = defaultdict(list)
        for parent, state, paused, failed, count in self._reader().rows(TALLIES, parents=list(parents)):
            found[parent].append(Tally(State(state), bool(paused), bool(failed), count))
        return dict(found)

    def awaited_by(self, pids: Sequence[int]) -> dict[int, list[int]]:
        awaited: dict[int, list[int]] = {}
        for waiting, child in self._reader().rows(AWAITED, pids=list(pids)):
            awaited.setdefault(waiting, []).append(child)
        return awaited

    def histories(self, pids: Sequence[int], kinds: Sequence[str]) -> dict[int, list[EventRow]]:
        found: dict[int, list[EventRow]] = {}
        for row in self._reader().rows(HISTORIES, pids=list(pids), kinds=list(kinds)):
            found.setdefault(row[1], []).append(event_row(row))
        return found

    def ends(self, since: float, width: float) -> list[tuple[int, int, int]]:
        found = dict(map(tuple, self._reader().rows(ENDS, since=since, width=width)))
        failed = dict(map(tuple, self._reader().rows(FAILED_ENDS, since=since, width=width)))
        return [(place, found[place], failed.get(place, 0)) for place in sorted(found)]

    def last_failed(self, most: int) -> list[ProcessRow]:
        return [MutableRow(*row).frozen() for row in self._reader().rows(LAST_FAILED, most=most)]

    def live_counts(self) -> dict[tuple[str, str], int]:
        return {(path, state): count for path, state, count in self._reader().rows(LIVE_COUNTS)}

    def paused_counts(self) -> dict[State, int]:
        return {State(state): count for state, count in self._reader().rows(PAUSED_COUNTS)}

    def queues(self) -> list[QueueRow]:
        return [QueueRow(*row) for row in self._reader().rows(QUEUES)]


_body = msgspec.json.Decoder(dict[str, Any]).decode


def event_row(row: Any) -> EventRow:
    """From a row of the table; of one that is damaged, a line that says so."""
    seq, of, at, kind, body, author = row
    try:
        said = _body(body)
    except (msgspec.MsgspecError, TypeError):
        kind, said = "report", {"text": f"this line of the history ({kind}) is damaged in the store"}
    return EventRow(seq, of, at, kind, said, author)
