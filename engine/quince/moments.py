"""Moments and durations as text, also those that no calendar of Python's reaches."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

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


def iso(moment: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond; years beyond 9999 with a sign, as that standard has them."""
    if moment is None:
        return None
    if (found := dated(moment)) is None:
        return far(moment)
    year, date = found
    return year + date.isoformat(timespec="milliseconds")[4:].replace("+00:00", "Z")
