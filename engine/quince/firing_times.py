"""When schedules fire: cron expressions in time zones, intervals, and what of it is due.

Moments are seconds since the epoch. A cron expression is read on the clock on the wall of its zone: a time
that does not exist on a day (clocks are set forward) is the first one after it that does, and one that exists
twice is the first of both. With `*` for minutes or hours it goes on as time does, through both hours.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from quince.moments import LONGEST
from quince_persistence.records.schedules import CatchUp, Due, Schedule, ScheduleLine, ScheduleRow

LATE_SECONDS = 60.0
"""A firing that is later than that was missed: it is for the catch-up policy to say what becomes of it."""
AT_ONCE = 500
"""So many firings of one schedule are dealt with in one go; the next one goes on."""
EARLIEST = 1 - LONGEST
"""No schedule has a moment before it."""
_WINDOWS = (3600.0, 86_400.0, 35 * 86_400.0, 400 * 86_400.0, 10 * 366 * 86_400.0)


@lru_cache(maxsize=200)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ValueError: there is none; says so.
    """
    try:
        return ZoneInfo(name)
    except Exception:  # of many kinds: no such file, a folder, a name that is no path
        raise ValueError(f"there is no time zone {name!r}: write one as Europe/Berlin or UTC") from None


def check_cron(expression: str) -> None:
    """Refuse an expression that is none, or that no moment ever meets.

    Raises:
        ValueError: says why.
    """
    form = "write five fields, as `0 2 * * *`: minute, hour, day of the month, month, day of the week"
    try:
        times = CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        reason = str(error)
        raise ValueError(
            f"{expression!r} is no cron expression ({reason[:1].lower()}{reason[1:]}): {form}"
        ) from None
    except Exception:  # it tells no more of what it cannot read
        raise ValueError(f"{expression!r} is no cron expression: {form}") from None
    try:
        next(times)
    except Exception:  # StopIteration, or the end of the calendar
        raise ValueError(f"{expression!r} is a moment that never comes") from None


def after(schedule: Schedule, moment: float) -> float | None:
    """The first moment of a schedule that is later than this one; None if there is none."""
    return next(_from(schedule, moment), None)


def between(schedule: Schedule, first: float, last: float, most: int) -> list[float]:
    """Its moments from `first` to `last`, both included; no more than so many."""
    found: list[float] = []
    for moment in _from(schedule, math.nextafter(first, -math.inf)):
        if moment > last or len(found) == most:
            break
        found.append(moment)
    return found


def text_of(schedule: Schedule, moment: float) -> str:
    """The moment in its zone: `2026-11-30T02:00:00+01:00`."""
    return datetime.fromtimestamp(moment, zone_of(schedule.zone)).isoformat()


def with_jitter(name: str, schedule: Schedule, moment: float | None) -> float | None:
    """When a moment fires: always the same time for one moment of one schedule."""
    if moment is None or not schedule.jitter:
        return moment
    digest = hashlib.blake2b(f"{name} {moment!r}".encode(), digest_size=8).digest()
    return moment + schedule.jitter * int.from_bytes(digest) / 2**64


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a schedule is due, and what comes after it."""

    due: Sequence[Due]
    moment: float | None
    next_at: float | None
    last_at: float | None
    missed: ScheduleLine | None = None


def plan(row: ScheduleRow, now: float) -> Plan:
    """What a schedule that was found due is to do.

    If the clock was set back since its next moment was found out, that is found out anew: no moment makes a
    second process, and none that is still to come is passed over.
    """
    schedule, first = row.schedule, row.state.moment
    if row.planned > now and first is not None and first > now:
        moment = after(schedule, now)
        if moment != first:
            fired = row.last_at is not None and row.last_at > now
            text = f"it had fired for {text_of(schedule, row.last_at or now)}" if fired else None
            line = ScheduleLine(now, "clock set back", text=text)
            last = None if fired else row.last_at
            return Plan((), moment, with_jitter(row.name, schedule, moment), last, line)
    if first is None or row.next_at is None or row.next_at > now:
        return Plan((), first, row.next_at, row.last_at)
    start = _start(schedule, first, now)
    due = list(_due(row, start, now))
    dropped = [one for one in due if one.late and not _made_up(schedule, one, due)]
    last = due[-1].at if due else row.last_at
    moment = start if not due else after(schedule, due[-1].at)
    missed = None
    if start is None or start > first or dropped:
        text = (
            f"no worker was there to fire it (and perhaps others after it); catch-up is {_policy(schedule)}"
        )
        missed = ScheduleLine(now, "missed", moment=text_of(schedule, first), text=text)
    made = [one for one in due if one not in dropped]
    return Plan(made, moment, with_jitter(row.name, schedule, moment), last, missed)


def _due(row: ScheduleRow, start: float | None, now: float) -> Iterator[Due]:
    if start is None:
        return
    for moment in between(row.schedule, start, now, AT_ONCE):
        fires = with_jitter(row.name, row.schedule, moment) or moment
        if fires > now:
            return
        yield Due(moment, text_of(row.schedule, moment), now - fires > LATE_SECONDS)


def _start(schedule: Schedule, first: float, now: float) -> float | None:
    """The first moment from `first` on that may have to be dealt with."""
    soon = now - LATE_SECONDS - schedule.jitter
    if schedule.catch_up is CatchUp.ALL:
        since = first if schedule.within is None else min(soon, now - schedule.within - schedule.jitter)
    elif schedule.catch_up is CatchUp.LAST:
        latest = _latest(schedule, first, soon)
        since = soon if latest is None else latest
    else:
        since = soon
    return first if since <= first else after(schedule, math.nextafter(since, -math.inf))


def _made_up(schedule: Schedule, one: Due, due: Sequence[Due]) -> bool:
    """Whether a firing that was missed is made up for."""
    if schedule.catch_up is CatchUp.LAST:
        return one is due[-1]
    return schedule.catch_up is CatchUp.ALL


def _policy(schedule: Schedule) -> str:
    return schedule.catch_up if schedule.within is None else f"within {schedule.within:g} s"


def _latest(schedule: Schedule, first: float, until: float) -> float | None:
    """The last moment from `first` to `until`. The wider the window, the fewer there are in it."""
    for window in _WINDOWS:
        last = None
        for moment in _from(schedule, math.nextafter(max(first, until - window), -math.inf)):
            if moment > until:
                break
            last = moment
        if last is not None or until - window <= first:
            return last
    return None


def _from(schedule: Schedule, moment: float) -> Iterator[float]:
    """Its moments that are later than this one."""
    if schedule.start is not None:
        moment = max(moment, math.nextafter(schedule.start, -math.inf))
    if not -LONGEST < moment < 2 * LONGEST:
        return iter(())
    return _intervals(schedule, moment) if schedule.cron is None else _times(schedule, moment)


def _intervals(schedule: Schedule, moment: float) -> Iterator[float]:
    assert schedule.every is not None
    start, every = schedule.start or 0.0, schedule.every
    number = max(0, math.floor((moment - start) / every))
    while True:
        if (at := start + number * every) > moment:
            yield at
        number += 1


def _times(schedule: Schedule, moment: float) -> Iterator[float]:
    assert schedule.cron is not None
    local = datetime.fromtimestamp(math.floor(moment), UTC).astimezone(zone_of(schedule.zone))
    times = CronSim(schedule.cron, local)
    while True:
        try:
            at = next(times).timestamp()
        except Exception:  # StopIteration, or the end of the calendar
            return
        if at > moment:  # else it is in an hour that comes twice, or was moved out of one that does not come
            moment = at
            yield at
