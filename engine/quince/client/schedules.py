"""Schedules from Python: added, seen, paused, removed; fired by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from quince.client.control import asked_by
from quince.client.handle import ProcessHandle, WorkspaceLike
from quince.client.new_schedule import Moment, check_name, moment_in, new_schedule
from quince.client.notify import enqueue
from quince.client.submit import origin_in, path_for_workers
from quince.client.twins import twin
from quince.errors import InvalidSchedule
from quince.firing_times import EARLIEST, after, between, text_of, with_jitter, zone_of
from quince.moments import Duration
from quince.processes.caching import asked_for, is_wanted
from quince.processes.creation import gathered, new_process, refuse_unnamed
from quince.processes.definition import class_of
from quince.processes.functions import ProcessFunction
from quince.processes.options import Wishes
from quince.processes.process import Process
from quince.text import storable
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.errors import PidTaken, UnknownSchedule
from quince_persistence.records.schedules import (
    Due,
    Fired,
    Firing,
    Overlap,
    Schedule,
    ScheduleLine,
    ScheduleRow,
)

MOST_BACK_FILLED = 5_000
"""So many processes one back-fill makes at most."""


@dataclass(frozen=True, slots=True)
class BackFill:
    """What a back-fill did.

    Attributes:
        made: The processes that it has made.
        queued: How many more follow, one after the other.
        known: Processes that had been made for moments of that time before.
    """

    made: Sequence[ProcessHandle[Any]]
    queued: int
    known: Sequence[ProcessHandle[Any]]


@dataclass(frozen=True)
class ScheduleHandle:
    """A schedule in the store: whoever has its name has it. Holds no state; every property asks.

    Attributes:
        workspace: Where it is.
    """

    name: str
    workspace: Workspace

    @property
    def row(self) -> ScheduleRow:
        """The schedule as it stands now.

        Raises:
            UnknownSchedule: it was removed.
        """
        row = self.workspace.store.schedule(self.name)
        if row is None:
            raise UnknownSchedule(self.name)
        return row

    @property
    def paused(self) -> bool:
        """It fires no more, until it is played."""
        return self.row.paused

    @property
    def next(self) -> datetime | None:
        """When it fires next, in its time zone; None: never, or it is paused."""
        row = self.row
        return (
            None if row.next_at is None else datetime.fromtimestamp(row.next_at, zone_of(row.schedule.zone))
        )

    @property
    def last(self) -> ProcessHandle[Any] | None:
        """The process that it has made last."""
        pid = self.row.last_pid
        return None if pid is None else ProcessHandle(pid, self.workspace)

    def history(self) -> Sequence[ScheduleLine]:
        """Its last firings, made, skipped and missed, and what was done to it."""
        return self.row.state.lines

    def pause(self, *, author: str | None = None) -> None:
        """Fire no more, until it is played; nothing of that time is made up for then. Durable on return."""
        self._hold(True, None, self.workspace.store.clock(), author)

    def play(self, *, author: str | None = None) -> None:
        """Go on, from the next moment after now. Durable on return."""
        now = self.workspace.store.clock()
        self._hold(False, after(self.row.schedule, now), now, author)

    def _hold(self, paused: bool, moment: float | None, now: float, author: str | None) -> None:
        who, _ = asked_by("pause" if paused else "play", author)
        next_at = with_jitter(self.name, self.row.schedule, moment)
        self.workspace.store.hold_schedule(
            self.name, paused=paused, moment=moment, next_at=next_at, author=who, planned=now
        ).result()

    def remove(self) -> None:
        """Remove it. The processes that it has made go on. Durable on return.

        Raises:
            UnknownSchedule: it was removed before.
        """
        self.workspace.store.remove_schedule(self.name).result()

    def trigger(self, *, author: str | None = None) -> ProcessHandle[Any]:
        """Make a process now, whatever else of it lives, also if it is paused. Its next firing stays."""
        schedule, now = self.row.schedule, self.workspace.store.clock()
        due = [Due(now, text_of(schedule, now))]
        fired = self._fire(due, "triggered", author, Overlap.ALLOW)
        pid = fired.made[0].pid if fired.made else fired.known[0]
        return ProcessHandle(pid, self.workspace)

    def backfill(self, first: Moment, last: Moment, *, author: str | None = None) -> BackFill:
        """Make the processes of all moments of some time that is past; what was made before is not again.
        They run one after the other, unless the schedule allows them to overlap.

        Args:
            first, last: Both included; in the zone of the schedule if they have none.

        Raises:
            InvalidSchedule: they are no moments, there is none of the schedule between them, or too many.
        """
        schedule, now = self.row.schedule, self.workspace.store.clock()
        try:
            start = max(moment_in(first, schedule.zone), EARLIEST)
            end = min(moment_in(last, schedule.zone, end=True), now)
        except ValueError as error:
            raise InvalidSchedule(str(error)) from None
        moments = between(_since(schedule, start), start, end, MOST_BACK_FILLED + 1)
        if not moments:
            raise InvalidSchedule(
                f"schedule {self.name} has no moment between {first} and {last} that is past"
            )
        if len(moments) > MOST_BACK_FILLED:
            raise InvalidSchedule(
                f"schedule {self.name} has more than {MOST_BACK_FILLED} moments between {first} and {last}; "
                "back-fill a part of it"
            )
        due = [Due(at, text_of(schedule, at), late=True) for at in moments]
        fired = self._fire(due, "back-filled", author)
        made = [ProcessHandle(one.pid, self.workspace) for one in fired.made]
        return BackFill(made, fired.queued, [ProcessHandle(pid, self.workspace) for pid in fired.known])

    apause, aplay, aremove = twin(pause), twin(play), twin(remove)
    atrigger, abackfill = twin(trigger), twin(backfill)

    def _fire(
        self, due: Sequence[Due], what: str, author: str | None, overlap: Overlap | None = None
    ) -> Fired:
        who, _ = asked_by("fire", author)
        store, schedule = self.workspace.store, self.row.schedule
        revision = None
        if schedule.asked_for is not None:
            revision = revision_of(schedule.class_path, self.workspace.location.folder)

        def attempt() -> Fired:
            pids = store.allocate_pids(len(due) + 1)
            firing = Firing(
                self.name, due, pids, what=what, overlap=overlap, author=who,
                revision=revision,
            )  # fmt: skip
            return store.fire(firing).result()

        try:
            fired = attempt()
        except PidTaken:
            store.forget_pids()
            fired = attempt()
        enqueue(self.workspace, [*fired.made, *fired.granted])
        return fired


def schedule(
    process_class: type[Process] | ProcessFunction[..., Any, Any],
    /,
    *unnamed: Any,
    name: str,
    cron: str | None = None,
    every: Duration | None = None,
    tz: str = "UTC",
    starting: Moment | None = None,
    overlap: str = "skip",
    catch_up: str = "last",
    jitter: Duration = 0,
    replace: bool = False,
    inputs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None,
    on_failure: str | None = None,
    deadline: Duration | None = None,
    cache: bool | None = None,
    workspace: WorkspaceLike = None,
    **named: Any,
) -> ScheduleHandle:
    """Have processes made at certain times, by whatever workers run then. Durable on return.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        name: Of the schedule; its processes have it as the label `schedule`.
        cron: Minute, hour, day of the month, month, day of the week: `"0 2 * * *"`.
        every: From one firing to the next, instead of `cron`: `"6 h"`.
        tz: The time zone of `cron`, as `Europe/Berlin`.
        starting: Nothing fires before it; `every` counts from it.
        overlap: While one of its processes lives, the next firing is a `skip`, is put into a `queue`, does
            `replace` that process, or is a matter of course (`allow`).
        catch_up: Which firings are made up for that no worker was there for: `none`, the `last` one, `all`,
            or those `within 1 d`.
        jitter: Each firing is late by a part of that, always the same one.
        replace: Put it in the place of a schedule of that name.
        inputs, named: The inputs of each process, checked now.
        deadline: How long each process may take, with its tree.
        queue, priority, labels, limits, on_failure, cache: As of `submit`.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Raises:
        InvalidSchedule: no such times; says why.
        ScheduleTaken: there is a schedule of that name.
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError: no store; nothing was written.
    """
    refuse_unnamed("schedule", process_class, unnamed)
    wishes = Wishes(None, queue, priority, labels, limits, on_failure, deadline, cache)
    given = gathered(process_class, inputs, named, wishes, workspace=workspace)
    check_name(name)
    if type(replace) is not bool:
        raise InvalidSchedule(f"schedule {name}: replace is {replace!r}, and must be True or False")
    home = resolve(workspace)
    home.location.require_shared()
    path = path_for_workers(process_class, home)
    made = new_process(process_class, given, pid=0, class_path=path, wishes=wishes)
    asked = None
    if is_wanted(class_of(process_class), wishes):
        asked = asked_for(path, made.class_version, made.inputs, origin=origin_in(home))
    now = home.store.clock()
    record = new_schedule(
        made, cron=cron, every=every, tz=tz, starting=starting, overlap=overlap, catch_up=catch_up,
        jitter=jitter, now=now, asked=asked,
    )  # fmt: skip
    moment = after(record, now)
    if moment is None:
        raise InvalidSchedule(f"schedule {name} would never fire: starting {starting} is too far away")
    home.store.put_schedule(
        name, record, bytes(made.inputs), moment=moment, next_at=with_jitter(name, record, moment),
        replaces=replace, author=asked_by("schedule", None)[0], planned=now,
    ).result()  # fmt: skip
    return ScheduleHandle(name, home)


def get_schedule(name: str, *, workspace: WorkspaceLike = None) -> ScheduleHandle:
    """The schedule of that name.

    Raises:
        UnknownSchedule: there is none.
    """
    if storable(str(name)) != name:
        raise UnknownSchedule(name)
    handle = ScheduleHandle(name, resolve(workspace))
    _ = handle.row
    return handle


def schedules(*, workspace: WorkspaceLike = None) -> list[ScheduleHandle]:
    """All schedules, by name; of those that cannot be read, every property but the name raises."""
    store = (home := resolve(workspace)).store
    names = {row.name for row in store.schedules()} | {one.name for one in store.damaged_schedules()}
    return [ScheduleHandle(name, home) for name in sorted(names)]


aschedule, aget_schedule, aschedules = twin(schedule), twin(get_schedule), twin(schedules)


def _since(schedule: Schedule, moment: float) -> Schedule:
    """The same, as if it had begun before that moment."""
    if schedule.start is None or schedule.start <= moment:
        return schedule
    if schedule.every is None:
        return msgspec.structs.replace(schedule, start=None)
    back = math.ceil((schedule.start - moment) / schedule.every) * schedule.every
    return msgspec.structs.replace(schedule, start=schedule.start - back)
