"""Moments and durations as text, also those that no calendar of Python's reaches."""

from __future__ import annotations

import re
import reprlib
from datetime import UTC, datetime, timedelta, tzinfo
from typing import SupportsFloat

Duration = float | str | timedelta
"""A length of time as users write it: a number of seconds, `"10 s"`, `"1 d 6 h"`, a `timedelta`."""

Deadline = Duration | datetime
"""When something must be over: so long from now; or a moment: a `datetime` (local if it has no zone), or its
text, `"2026-12-01T08:00"`."""

LONGEST = 3_155_760_000.0
"""Seconds; a hundred years: what is later has no date that every program can write."""
_UNITS = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Z]+)\s*,?")
_CYCLE = 146_097 * 86_400
"""Seconds in 400 years, after which the calendar is the same again."""
_REACH = 1e14
"""Seconds; beyond them (3 million years) the number says more than a date."""


def dated(moment: float, zone: tzinfo | None = UTC) -> tuple[str, datetime] | None:
    """A moment (seconds since 1970) as the text of its year and a datetime with all else.

    Args:
        zone: None for the local one.

    Returns:
        None if it is too far away, or no moment at all.
    """
    if not -_REACH < moment < _REACH:
        return None
    cycles = int(moment // _CYCLE)
    if -4 <= cycles <= 18:  # years 370 to 9,570
        cycles = 0
    date = datetime.fromtimestamp(moment - cycles * _CYCLE, UTC).astimezone(zone)
    year = date.year + 400 * cycles
    return f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}", date


def far(moment: float) -> str:
    """A moment that `dated` cannot tell."""
    return f"{moment:g} s after 1970"


def clock(moment: float) -> str:
    """A moment for people: in the local time zone, with its name."""
    if (found := dated(moment, None)) is None:
        return far(moment)
    year, date = found
    return year + date.strftime("-%m-%d %H:%M:%S %Z")


def span(seconds: float) -> str:
    """A duration, in the one unit that tells it best: `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d`."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((99.5, 1, "s"), (99.5 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    days = seconds / 86400
    return f"{days:.0f} d" if days < 1e9 else f"{days:.1g} d"


def exactly(seconds: float) -> str:
    """A duration as users write one, rounded nowhere: `2 s`, `90 min` as `1 h 30 min`, `1 d 6 h`."""
    parts = []
    rest = max(0.0, seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        count, rest = divmod(rest, size)
        parts += [f"{count:.0f} {unit}"] if count else []
    return " ".join([*parts, f"{rest:g} s"] if rest or not parts else parts)


def iso(moment: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond; years beyond 9999 with a sign, as that standard has them."""
    if moment is None:
        return None
    if (found := dated(moment)) is None:
        return far(moment)
    year, date = found
    return year + date.isoformat(timespec="milliseconds")[4:].replace("+00:00", "Z")


def seconds_of(value: object) -> float:
    """The seconds in a duration as users write it.

    Args:
        value: A number of seconds, also as text; `"10 s"`, `"90 min"`, `"2h"`, `"1 d 6 h"`, `"1:30:00"` (with
            units ms, s, min, h, d and w, or their whole names); or a `timedelta`.

    Raises:
        ValueError: it is none, negative, or longer than a hundred years; says so of the value.
    """
    if (found := _seconds(value)) is None or not found >= 0:
        raise ValueError(
            f"{reprlib.repr(value)} is no duration: write a number of seconds, or a text with units such as "
            '"10 s", "90 min", "2 h" or "1 d 6 h"'
        )
    if found > LONGEST:
        raise ValueError(f"{reprlib.repr(value)} is too long: a hundred years is the longest duration")
    return found


def moment_of(value: object) -> float | None:
    """The moment that is meant (seconds since 1970), if one is: a `datetime`, or its ISO 8601 text.

    Without a zone it is in the local one.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return value.timestamp()
    except (OverflowError, ValueError, OSError):  # years that no clock shows
        return None


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _seconds_in(value.strip())
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except OverflowError:
        return LONGEST * 2
    except (TypeError, ValueError):  # an array of many
        return None


def _seconds_in(text: str) -> float | None:
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if found := re.fullmatch(r"([0-9]{1,9}):([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]{1,9})?))?", text):
        hours, minutes, seconds = found.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    total, place = 0.0, 0
    while part := _PART.match(text, place):
        unit = part[2] if part[2] in _UNITS else part[2].lower()
        unit = unit if unit in _UNITS else unit.removesuffix("s")
        if unit not in _UNITS:
            return None
        total, place = total + float(part[1]) * _UNITS[unit], part.end()
    return total if place and place == len(text) else None
