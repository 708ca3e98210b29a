"""Moments as text, also those that no calendar of Python's reaches."""

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
