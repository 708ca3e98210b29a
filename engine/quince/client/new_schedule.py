"""A schedule that is about to be added: what was said of it, checked and brought into its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from quince.errors import InvalidSchedule
from quince.firing_times import check_cron, zone_of
from quince.moments import Duration, seconds_of
from quince.text import name_problem
from quince_persistence.codec import cuts_of
from quince_persistence.records import NewProcess
from quince_persistence.records.schedules import CatchUp, Overlap, Schedule

Moment = datetime | date | str
"""A moment as users write it: a `datetime`, a `date`, `2026-11-30` or `2026-11-30T02:00`; in the zone of the
schedule, if it says none."""
_Choice = TypeVar("_Choice", bound=StrEnum)

LONGEST_NAME = 100


def check_name(name: object) -> str:
    """The name of a schedule.

    Raises:
        InvalidSchedule: it can be none.
    """
    if not isinstance(name, str):
        raise InvalidSchedule(f"the name of a schedule is a text, not {name!r}")
    if wrong := name_problem(name, LONGEST_NAME):
        raise InvalidSchedule(f"the name of the schedule {wrong}")
    return name


def new_schedule(
    made: NewProcess,
    *,
    cron: str | None,
    every: Duration | None,
    tz: str,
    starting: Moment | None,
    overlap: str,
    catch_up: str,
    jitter: Duration,
    now: float,
    asked: str | None = None,
) -> Schedule:
    """The record of a schedule.

    Args:
        made: What each of its processes is to be.
        now: From when on an interval counts that has no beginning.
        asked: What each is asked for, if one that ended well may have served.

    Raises:
        InvalidSchedule: what was said makes no schedule; says what is wrong, and what to write.
    """
    if (cron is None) == (every is None):
        raise InvalidSchedule(
            "a schedule has either a cron expression (`--cron`, `cron=`) or an interval (`--every`, `every=`)"
        )
    try:
        zone_of(tz)
        if cron is not None:
            check_cron(cron)
        start = None if starting is None else moment_in(starting, tz)
        catching, within = _catch_up(catch_up)
        late = seconds_of(jitter)
    except ValueError as error:
        raise InvalidSchedule(str(error)) from None
    interval = None if every is None else _interval(every)
    if interval is not None and start is None:
        start = float(math.floor(now)) + interval
    return Schedule(
        class_path=made.class_path,
        class_version=made.class_version,
        cron=None if cron is None else " ".join(cron.split()),
        zone=tz,
        every=interval,
        start=start,
        overlap=_one_of(Overlap, overlap, "overlap"),
        catch_up=catching,
        within=within,
        jitter=late,
        queue=made.queue,
        priority=made.priority,
        deadline=made.within,
        until=made.until,
        refers=tuple(made.refers),
        options=made.options,
        asked_for=asked,
        cuts=tuple(cuts_of(made.inputs)),
    )


def moment_in(value: object, zone: str, *, end: bool = False) -> float:
    """The moment that is meant, in a zone if it says none.

    Args:
        end: Of a day without a time, its end is meant.

    Raises:
        ValueError: it is no moment.
    """
    found = value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
            if end and len(value.strip()) <= len("2026-11-30"):
                found += timedelta(days=1, microseconds=-1)
        except (ValueError, OverflowError):
            found = None
    if not isinstance(found, datetime):
        raise ValueError(
            f"{value!r} is no moment: write one as 2026-11-30 or 2026-11-30T02:00, or give a datetime"
        )
    try:
        return (found if found.tzinfo else found.replace(tzinfo=zone_of(zone))).timestamp()
    except (OverflowError, OSError) as error:
        raise ValueError(f"{value!r} is too far away") from error


def _interval(every: Duration) -> float:
    try:
        seconds = seconds_of(every)
    except ValueError as error:
        raise InvalidSchedule(str(error)) from None
    if seconds < 1 or seconds != int(seconds):
        raise InvalidSchedule(f"every {every!r}: an interval is a whole number of seconds, and at least one")
    return seconds


def _catch_up(word: object) -> tuple[CatchUp, float | None]:
    text = str(word).strip()
    if text.startswith("within"):
        length = text.removeprefix("within").strip()
        if not length:
            raise InvalidSchedule("catch-up is 'within' what? Write a duration as well, such as `within 1 d`")
        return CatchUp.ALL, seconds_of(length)
    return _one_of(CatchUp, text, "catch-up", "within 1 d"), None


def _one_of(kind: type[_Choice], word: object, what: str, *more: str) -> _Choice:
    try:
        return kind(str(word))
    except ValueError:
        known: Sequence[str] = [*(str(one) for one in kind), *more]
        raise InvalidSchedule(f"{what} is {word!r}, and must be one of: {', '.join(known)}") from None
