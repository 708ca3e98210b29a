"""The limits that a new process asks for."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

from quince.errors import InvalidInput
from quince.moments import exactly, seconds_of
from quince.processes.bases import attribute_of
from quince.processes.options import Wishes
from quince.text import name_problem
from quince_persistence.records import ProcessRow
from quince_persistence.records.limits import LimitRow

OF_A_MAP = "map:"
"""Begins the names of limits that are made for the children of one step."""
LONGEST_LIMIT = 200
MOST_SLOTS = 2**31 - 1


def limits_of(
    cls: Any, wishes: Wishes, values: Mapping[str, Any], parent: ProcessRow | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of limits that it asks for, in alphabetical order: what its class says and what was wished
    for, without what a process above it asks for already; and all of the latter.

    Args:
        values: Its inputs, for names such as `user:{user}`.

    Raises:
        InvalidInput: one cannot be a name, or its input is not there.
    """
    above = () if parent is None else (*parent.options.below, *parent.options.limits)
    below = tuple(sorted({name for name in above if not name.startswith(OF_A_MAP)})) if above else ()
    own = attribute_of(cls, "limits") or ()
    given = [*(() if callable(own) else _listed(cls, own)), *_listed(cls, wishes.limits or ())]
    if not given:
        return (), below
    names = {_filled(cls, template, values) for template in given}
    return tuple(sorted(names.difference(below))), below


def checked_limit(name: object) -> str:
    """The name of a limit.

    Raises:
        ValueError: it cannot be one.
    """
    if wrong := name_problem(name, LONGEST_LIMIT):
        raise ValueError(f"the name of a limit {wrong}")
    return str(name)


def rate_of(text: object) -> tuple[int, float]:
    """How many in how many seconds a rate such as `30/min` means.

    Raises:
        ValueError: it is none; says so.
    """
    number, _, time = text.partition("/") if isinstance(text, str) else ("", "", "")
    time = time.strip()
    try:
        count = int(number)
        per = seconds_of(time if time[:1].isdigit() else f"1 {time}") if time else 0.0
    except ValueError:
        count, per = 0, 0.0
    if not (0 < count <= MOST_SLOTS and per > 0):
        raise ValueError(
            f"{reprlib.repr(text)} is no rate: write how many in which time, such as 30/min, 2/s or 100/12 h"
        )
    return count, per


def said_of(limit: LimitRow) -> str:
    """What a limit allows: `4 at once, 30/min`."""
    if limit.damage is not None:
        return f"nobody: its row in the store is damaged, {limit.damage}"
    parts = [] if limit.slots is None else [f"{limit.slots} at once"]
    if limit.rate is not None and limit.per is not None:
        parts.append(said_of_rate(limit.rate, limit.per))
    return ", ".join(parts) or "not set"


def said_of_rate(rate: int, per: float) -> str:
    """A rate as users write it: `30/min`."""
    unit = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}.get(per)
    return f"{rate}/{unit or exactly(per)}"


def _listed(cls: Any, names: Any) -> Sequence[Any]:
    if isinstance(names, (str, bytes)) or not isinstance(names, Sequence):
        raise InvalidInput(f"{cls.__name__}: limits are a list of names, and not {reprlib.repr(names)}")
    return names


def _filled(cls: Any, template: Any, values: Mapping[str, Any]) -> str:
    """The name, with inputs in the place of `{input}`."""
    try:
        parts = list(Formatter().parse(template)) if isinstance(template, str) else []
    except ValueError as error:
        raise InvalidInput(f"{cls.__name__}: the limit {template!r}: {error}") from None
    filled = "".join(
        text + ("" if field is None else _input(cls, template, field, values)) for text, field, *_ in parts
    )
    try:
        return checked_limit(filled if isinstance(template, str) else template)
    except ValueError as error:
        raise InvalidInput(f"{cls.__name__}: {error}") from None


def _input(cls: Any, template: str, field: str, values: Mapping[str, Any]) -> str:
    value: Any = values
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        there = "there is none" if value is None else f"it is {reprlib.repr(value)} ({type(value).__name__})"
        raise InvalidInput(
            f"{cls.__name__}: the limit {template!r} wants {field!r}, a text or a number, and {there}"
        )
    return str(value)
