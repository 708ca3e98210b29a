"""The firing of a schedule: its process is inserted and its next time set in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from quince_persistence.codec.folding import fold, marked
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.errors import UnknownSchedule
from quince_persistence.reading.schedule_rows import SCHEDULE_INPUTS
from quince_persistence.records import NewProcess, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.schedules import (
    LABEL,
    MOMENT_LABEL,
    MOST_QUEUED,
    Due,
    Fired,
    Firing,
    Overlap,
    ScheduleLine,
    ScheduleRow,
    key_of,
)
from quince_persistence.writing.caching import look_up
from quince_persistence.writing.lifecycle import as_woken, kill_family
from quince_persistence.writing.operations.base import NOTHING, Operation
from quince_persistence.writing.operations.insert import insert_new, need_new
from quince_persistence.writing.operations.schedules import locked, with_line, write
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


@dataclass(slots=True)
class _Course:
    """How a firing goes on."""

    live: list[int]
    queued: list[str]
    lines: list[ScheduleLine] = field(default_factory=list)
    made: list[Woken] = field(default_factory=list)
    replaced: list[ControlOutcome] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    last_pid: int | None = None


class Fire(Operation[Fired]):
    """Make what is due, and what waited for its turn; each moment once, by the key of its process.

    Nothing is done if the schedule is not the one that was seen when it was found due, and not by hand: then
    another worker has been here, or somebody has changed it.
    """

    alone = True

    def __init__(self, firing: Firing) -> None:
        super().__init__()
        self._firing = firing
        self._row: ScheduleRow | None = None
        self._new: dict[str, NewProcess] = {}
        self._cached: Sequence[int] = ()

    def find(self, unit: UnitOfWork) -> None:
        firing = self._firing
        self._row = row = locked(unit, firing.name)
        self._new, self._cached, self.parts, self.given = {}, (), set(), NOTHING
        if row is None or (firing.seen is not None and row != firing.seen):
            return
        ((stored,),) = fetch_bytes(unit.connection, SCHEDULE_INPUTS, {"name": firing.name})
        given: dict[str, bytes] = {}
        inputs = fold(marked(stored, row.schedule.cuts), given)
        self.parts, self.given = set(given), given
        moments = [due.text for due in firing.due] + list(row.state.queued[:1])
        self._new = {
            text: _process(row, text, pid, inputs, firing.revision)
            for text, pid in zip(moments, firing.pids, strict=False)
        }
        self._cached = look_up(unit, self._new.values())

    def need(self, needs: Needs) -> None:
        need_new(needs, list(self._new.values()))
        needs.pids.update(self._cached)
        if self._row is not None:
            needs.pids.update(self._row.state.live)
            if self._overlap is Overlap.REPLACE:
                needs.families.update(self._row.state.live)

    @property
    def _overlap(self) -> Overlap:
        assert self._row is not None
        return self._firing.overlap or self._row.schedule.overlap

    def apply(self, unit: UnitOfWork) -> Fired:
        row, firing = self._row, self._firing
        if row is None:
            if firing.seen is None:
                raise UnknownSchedule(firing.name)
            return Fired()
        if firing.seen is not None and row != firing.seen:
            return Fired()
        live = [pid for pid in row.state.live if pid in unit.rows and not unit.rows[pid].terminated]
        course = _Course(live, list(row.state.queued), last_pid=row.last_pid)
        before = len(course.queued)
        if firing.missed is not None:
            course.lines.append(firing.missed)
        for due in firing.due:
            self._turn(unit, course, due)
        self._next_in_turn(unit, course, held=row.paused)
        self._write(unit, row, course)
        return Fired(course.made, course.replaced, max(0, len(course.queued) - before), course.known)

    def answer(self, unit: UnitOfWork, outcome: Fired) -> Fired:
        granted = unit.grants.take()
        return replace(outcome, granted=granted) if granted else outcome

    def _turn(self, unit: UnitOfWork, course: _Course, due: Due) -> None:
        """What becomes of one moment."""
        overlap = self._overlap
        if (known := unit.taken.get(self._new[due.text].key or "")) is not None:
            course.known.append(known)
        elif overlap is Overlap.ALLOW:
            self._make(unit, course, due.text)
        elif due.text in course.queued:
            return
        elif due.late or overlap is Overlap.QUEUE:
            if len(course.queued) < MOST_QUEUED:
                course.queued.append(due.text)
            else:
                self._say(unit, course, "skipped", due.text, f"{MOST_QUEUED} wait for their turn already")
        elif overlap is Overlap.REPLACE:
            tops = [unit.rows[pid] for pid in course.live if not unit.rows[pid].terminated]
            reason = f"replaced by the next firing of schedule {self._firing.name}"
            author = f"schedule {self._firing.name}"
            course.replaced += kill_family(unit, tops, author=author, reason=reason)
            self._make(unit, course, due.text)
        elif course.live or course.queued:
            self._say(unit, course, "skipped", due.text, _busy(unit, course))
        else:
            self._make(unit, course, due.text)

    def _next_in_turn(self, unit: UnitOfWork, course: _Course, *, held: bool) -> None:
        """The first that waits begins when nothing else of the schedule lives."""
        while course.queued and not held and not course.live:
            text = course.queued[0]
            if text not in self._new:
                return  # the next round has its pid and its key
            del course.queued[0]
            if (known := unit.taken.get(self._new[text].key or "")) is not None:
                course.known.append(known)
            else:
                self._make(unit, course, text)

    def _make(self, unit: UnitOfWork, course: _Course, moment: str) -> None:
        row = insert_new(unit, self._new[moment], None)
        if not row.terminated:  # else another one had computed it
            course.live.append(row.pid)
        course.last_pid = row.pid
        course.made.append(as_woken(row))
        self._say(unit, course, self._firing.what, moment, None, row.pid)

    def _say(
        self,
        unit: UnitOfWork,
        course: _Course,
        what: str,
        moment: str,
        text: str | None,
        pid: int | None = None,
    ) -> None:
        course.lines.append(ScheduleLine(unit.now, what, moment, pid, text, self._firing.author))

    def _write(self, unit: UnitOfWork, row: ScheduleRow, course: _Course) -> None:
        firing = self._firing
        live = tuple(pid for pid in course.live if not unit.rows[pid].terminated)
        state = msgspec.structs.replace(
            with_line(row.state, *course.lines), live=live, queued=tuple(course.queued)
        )
        row = replace(row, state=state, last_pid=course.last_pid)
        if firing.seen is not None:
            state = msgspec.structs.replace(state, moment=firing.moment)
            planned = unit.now if firing.planned is None else firing.planned
            row = replace(row, state=state, next_at=firing.next_at, last_at=firing.last_at, planned=planned)
        if row != self._row:
            write(unit, row)


def _process(row: ScheduleRow, moment: str, pid: int, inputs: bytes, revision: str | None) -> NewProcess:
    schedule = row.schedule
    labels = schedule.options.labels | {LABEL: row.name, MOMENT_LABEL: moment}
    known = None not in (revision, schedule.asked_for)
    key = f"{revision}:{schedule.asked_for}" if known else None
    return NewProcess(
        pid=pid,
        class_path=schedule.class_path,
        class_version=schedule.class_version,
        inputs=inputs,
        queue=schedule.queue,
        priority=schedule.priority,
        key=key_of(row.name, moment),
        within=schedule.deadline,
        until=schedule.until,
        refers=schedule.refers,
        options=msgspec.structs.replace(schedule.options, labels=labels, cache_key=key),
    )


def _busy(unit: UnitOfWork, course: _Course) -> str:
    """Why a firing is skipped."""
    told: Sequence[str] = [
        f"{pid} {'is paused' if row.paused else 'has not ended'}"
        + (f" ({row.status})" if row.paused and row.status else "")
        for pid in course.live[-3:]
        for row in [unit.rows[pid]]
    ]
    return "; ".join(told) or f"{len(course.queued)} wait for their turn"
