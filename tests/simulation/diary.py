"""What schedules have made and left out in the simulated world, and whether they may have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unittest.mock import patch

from sqlalchemy import select

from quince import firing_times
from quince.firing_times import with_jitter
from quince.recovery.due_schedules import DueSchedules
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import Control
from quince_persistence.records.schedules import CatchUp, Firing, Overlap, ScheduleRow
from quince_persistence.schema.tables import processes
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.fire import Fire
from tests.simulation.world import World

LATE_SECONDS = 2.0
"""In the place of that of the engine: firings are missed sooner in so short a life."""

p = processes
_spared = p.c.intent.is_distinct_from(Control.KILL.value)


@dataclass
class Deed:
    """One firing that was committed.

    Attributes:
        row: The schedule as it was before.
        after: And as it is now.
        planned: When the worker found out what is due, by the clock on the wall; None: it was made by hand.
        made: The moments of what was made, with the pids.
        alive: Processes of the schedule, made before, that have not ended; `busy`: nor are killed just now.
    """

    firing: Firing
    row: ScheduleRow
    after: ScheduleRow
    planned: float | None
    made: dict[float, int]
    alive: list[int]
    busy: list[int]

    @property
    def overlap(self) -> Overlap:
        return self.firing.overlap or self.row.schedule.overlap

    def fires(self, moment: float) -> float:
        return with_jitter(self.row.name, self.row.schedule, moment) or moment


@dataclass
class Diary:
    """Follows each schedule from firing to firing.

    Attributes:
        retried: How often somebody has retried a process: then it is none of those that keep others waiting.
        look: Finds a schedule, as it stands now.
        made: Of each schedule its moments, and their processes.
    """

    world: World
    retried: Mapping[int, int]
    look: Callable[[str], ScheduleRow | None]
    made: dict[str, dict[float, int]] = field(default_factory=lambda: defaultdict(dict))
    _planned: dict[int, float] = field(default_factory=dict)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Inside the block it is known when a worker has found out what is due."""
        real = DueSchedules._firing

        def firing(due: DueSchedules, row: ScheduleRow) -> Firing | None:
            found = real(due, row)
            if found is not None:
                self._planned[found.pids[0]] = self.world.wall()
            return found

        with (
            patch.object(DueSchedules, "_firing", firing),
            patch.object(firing_times, "LATE_SECONDS", LATE_SECONDS),
        ):
            yield

    def witness(self, operation: Operation[Any], outcome: Any, reads: RowReader) -> Iterator[str]:
        """Something was committed. Yields what is wrong with it."""
        if not isinstance(operation, Fire) or (row := operation._row) is None:
            return
        pids = {one.pid for one in outcome.made}
        made = {_seconds(text): new.pid for text, new in operation._new.items() if new.pid in pids}
        firing, known, after = operation._firing, self.made[row.name], self.look(row.name)
        assert after is not None
        planned = None if firing.seen is None else self._planned[firing.pids[0]]
        ours = select(p.c.pid).where(p.c.pid.in_(list(known.values())), p.c.ended.is_(None))
        alive = [pid for (pid,) in reads.rows(ours)]
        busy = [pid for (pid,) in reads.rows(ours.where(_spared)) if not self.retried[pid]]
        deed = Deed(firing, row, after, planned, made, alive, busy)
        if firing.seen is None or firing.seen == row or after != row:
            for wrong in (*self._of_made(deed), *self._of_left_out(deed)):
                yield f"schedule {row.name} ({row.schedule.overlap}, {row.schedule.catch_up}): {wrong}"
        known.update(made)

    def _of_made(self, deed: Deed) -> Iterator[str]:
        """What is made, or is put into the queue, is due, and made once, and by itself if it has to be."""
        for moment in deed.made.keys() & self.made[deed.row.name].keys():
            yield f"{moment} is made a second time"
        others = [*deed.busy, *sorted(deed.made.values())[:-1]]
        if deed.made and deed.overlap in (Overlap.SKIP, Overlap.QUEUE) and others:
            yield f"{deed.made} is made while {others} are at work"
        if deed.made and deed.overlap is Overlap.REPLACE and deed.busy:
            yield f"{deed.made} is made, and {deed.busy} is left at work"
        if deed.planned is None:
            return
        if deed.made and deed.row.paused:
            yield f"{deed.made} is made, and it is paused"
        waiting = {_seconds(text) for text in deed.row.state.queued}
        coming = {*deed.made, *map(_seconds, deed.after.state.queued)} - waiting
        for moment in coming:
            if (late := deed.planned - deed.fires(moment)) < 0:
                yield f"{moment} is made {-late} s before its time"
            elif late > LATE_SECONDS and not self._is_made_up(deed, moment, late - deed.row.schedule.jitter):
                yield f"{moment} is made {late} s late"

    def _of_left_out(self, deed: Deed) -> Iterator[str]:
        """What is neither made nor put into the queue is missed, or was not to be made beside others."""
        queued = {_seconds(text) for text in deed.after.state.queued}
        there = queued | self.made[deed.row.name].keys() | deed.made.keys()
        for text in deed.row.state.queued:
            if _seconds(text) not in there:
                yield f"{text} was in the queue, and is made no more"
        if deed.planned is None:
            return
        for moment in set(self._dealt_with(deed)) - there:
            late = deed.planned - deed.fires(moment)
            if late > LATE_SECONDS and not self._is_made_up(deed, moment, late):
                continue
            if deed.overlap is not Overlap.SKIP or not (deed.alive or deed.made or queued):
                yield f"{moment} is left out"

    def _dealt_with(self, deed: Deed) -> Iterator[float]:
        """The moments that are behind it with this firing."""
        moment, every = deed.row.state.moment, deed.row.schedule.every
        while moment is not None and every is not None and moment < (deed.firing.moment or 0):
            yield moment
            moment += every

    def _is_made_up(self, deed: Deed, moment: float, late: float) -> bool:
        """Whether a firing that is so late is made up for."""
        schedule = deed.row.schedule
        if schedule.catch_up is CatchUp.ALL:
            return schedule.within is None or late <= schedule.within
        return schedule.catch_up is CatchUp.LAST and moment == max(self._dealt_with(deed), default=moment)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
