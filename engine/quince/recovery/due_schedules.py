"""Firing what schedules have due: any worker does it, each firing is made once, by whoever comes first."""

from __future__ import annotations

import time
from dataclasses import replace

from quince.concurrency import aside, landed
from quince.firing_times import plan
from quince.recovery.interfaces import SweepOwner
from quince.workspace.revision import revision_of
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.errors import PersistenceError, PidTaken, RecordRefused, Unreadable
from quince_persistence.records import Selection
from quince_persistence.records.schedules import Fired, Firing, Schedule, ScheduleRow

LOOK_SECONDS = 30.0
"""From one look for schedules that cannot be read to the next."""

_log = StructuredLogger("quince.worker")


class DueSchedules:
    """What one worker does for all schedules."""

    def __init__(self, worker: SweepOwner) -> None:
        self._worker = worker
        self._broken: set[str] = set()
        self._looked: float | None = None

    async def fire(self) -> None:
        """Fire all that are due. One that cannot be fired here keeps none of the others from it.

        Raises:
            PersistenceError: the store does not answer.
        """
        store = self._worker.store
        for row in await aside(store.due_schedules):
            try:
                if (firing := await aside(self._firing, row)) is not None:
                    self._follow(row, await landed(store.fire(firing)))
                self._broken.discard(row.name)
            except PidTaken:  # the store was put back to a backup: once more with other pids
                store.forget_pids()
            except (RecordRefused, Unreadable) as error:  # this one, and none of the others
                self._tell("schedule %(schedule)s cannot be fired: %(error)s", row.name, error)
            except PersistenceError:
                raise
            except Exception as error:  # its zone is not known on this host, say; on another one it may be
                self._tell("schedule %(schedule)s cannot be fired here: %(error)s", row.name, error)
        await self._look_for_damage()

    async def _look_for_damage(self) -> None:
        """Tell now and then of those that cannot even be read."""
        now = time.monotonic()
        if self._looked is None or now - self._looked > LOOK_SECONDS:
            self._looked = now
            for one in await aside(self._worker.store.damaged_schedules):
                self._tell(
                    "schedule %(schedule)s cannot be read, and does not fire: %(error)s", one.name, one.reason
                )

    def _tell(self, sentence: str, name: str, error: object) -> None:
        if name not in self._broken:  # once
            self._broken.add(name)
            _log.error(sentence, schedule=name, error=error)

    def _firing(self, row: ScheduleRow) -> Firing | None:
        """What is to be done; None if there is nothing just now."""
        store = self._worker.store
        now = store.clock()
        found = plan(row, now)
        same = replace(row, next_at=found.next_at, last_at=found.last_at)
        nothing_due = not found.due and same == row and found.moment == row.state.moment
        if nothing_due and (not row.state.queued or self._lives(row)):
            return None
        return Firing(
            row.name,
            found.due,
            store.allocate_pids(len(found.due) + 1),
            seen=row,
            moment=found.moment,
            next_at=found.next_at,
            last_at=found.last_at,
            planned=now,
            missed=found.missed,
            revision=self._revision(row.schedule),
        )

    def _revision(self, schedule: Schedule) -> str | None:
        """That of the code of its processes, if one that ended well may serve for another one."""
        if schedule.asked_for is None:
            return None
        return revision_of(schedule.class_path, self._worker.location.folder)

    def _lives(self, row: ScheduleRow) -> bool:
        """Whether a process lives for whose end others of the schedule wait."""
        live = Selection(pids=row.state.live, live=True, limit=1)
        return bool(row.state.live and self._worker.store.select(live))

    def _follow(self, row: ScheduleRow, fired: Fired) -> None:
        self._worker.outbox.enqueue([*fired.made, *fired.granted])
        self._worker.wakeups.ended(fired.replaced)
        if fired.made:
            pids = [one.pid for one in fired.made]
            _log.info("schedule %(schedule)s has fired: %(pids)s", schedule=row.name, pids=pids)
