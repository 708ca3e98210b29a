"""How much may be saved, and how many bytes a value has before it is written anywhere.

What one value may have leaves room for all that stands beside it in a row or a message of the database:
PostgreSQL and SQLite take 1 GB of either, and PostgreSQL's driver reads bytes as twice as many.
"""

from __future__ import annotations

import enum
import itertools
import math
import os
from collections import Counter
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from quince_persistence.codec import arrays, frames, instances, registry, standard
from quince_persistence.codec.kinds import WRITERS

MEGABYTE = 1_000_000
MOST = 200 * MEGABYTE
"""Bytes of one value: an input, something in the context, an output, a signal, the result of a once-block."""

LARGE = MEGABYTE
"""From here on it is worth adding up what is saved beside a value."""

LEAST = 10_000
"""Nobody can be left less."""

VARIABLE = "QUINCE_LARGEST_VALUE"
"""In megabytes: a lower limit for one value; the others follow."""

_TOGETHER = 2
_STEP = 5
_DEEPEST = 200
_MACHINE_BITS = 63
_FLAT: dict[type, int] = {bool: 0, type(None): 0, float: 8}
_UNFOLDED = frozenset({tuple, frozenset})
_HEAD = 9
"""Bytes of a number, and more than what stands before a text."""
_FRAME = 40
"""More than what stands before a container, with a number to refer to it."""

_Bounds = tuple[int, float, list[Any]]


def largest_value() -> int:
    """Bytes that one value may have."""
    try:
        megabytes = float(os.environ.get(VARIABLE) or "nan")
    except ValueError:
        return MOST
    return int(min(max(megabytes * MEGABYTE, LEAST), MOST)) if megabytes > 0 else MOST


def largest_together() -> int:
    """Bytes that values may have which are saved as one: all inputs of a process; its context and outputs."""
    return _TOGETHER * largest_value()


def largest_step() -> int:
    """Bytes of all that one step commits: the context, outputs, inputs of children, signals."""
    return _STEP * largest_value()


def bounds(value: Any, enough: int) -> tuple[int, float]:
    """At least, and at most, how many bytes `encode` makes of a value; without writing it.

    Level by level, so that the loops over values run in C. What stands in several places is written once.

    Args:
        enough: The look ends where the value has more bytes for certain.
    """
    least, most = 0, 0.0
    level: Any = (value,)
    met: dict[int, Any] = {}
    for _ in range(_DEEPEST):
        kinds = Counter(map(type, level))
        least += len(level)
        most += _HEAD * len(level)
        inside: list[Any] = []
        for kind, count in kinds.items():
            if kind in _FLAT:
                least += _FLAT[kind] * count
                continue
            values = level if len(kinds) == 1 else [one for one in level if type(one) is kind]
            low, high, below = _of_kind(kind, values if kind in _ANYWHERE else _first_time(values, met))
            least, most, inside = least + low, most + high, inside + below
        if not inside or least + sum(map(len, inside)) > enough:
            return least + sum(map(len, inside)), most
        level = inside[0] if len(inside) == 1 else list(itertools.chain.from_iterable(inside))
    return least, math.inf


def _first_time(values: Any, met: dict[int, Any]) -> list[Any]:
    """Those that did not stand in another place before."""
    fresh = {id(one): one for one in values}
    if met:
        fresh = {key: one for key, one in fresh.items() if key not in met}
    met.update(fresh)
    return list(fresh.values())


def _of_kind(kind: type, values: Any) -> _Bounds:
    """The bounds of values of one type without what is in them, and what is in them."""
    if not values:
        return 0, 0, []
    if kind is int:
        bits = max(max(values), -min(values)).bit_length()
        return 0, bits // 8 * len(values) if bits > _MACHINE_BITS else 0, []
    if kind is str:
        length = sum(map(len, values))
        return length, 4 * length, []
    if kind is bytes or kind is bytearray:
        length = sum(map(len, values))
        return length, length, []
    if kind is list or kind is set or kind in _UNFOLDED:
        return 0, _FRAME * len(values), list(values)
    if kind is dict:
        return 0, _FRAME * len(values), [*map(dict.keys, values), *map(dict.values, values)]
    if kind in WRITERS:
        return 0, sum(map(_text, values)), []
    return _sum(_other(kind, one) for one in values)


def _text(value: Any) -> int:
    """More than a leaf has."""
    try:
        return 200 + (4 * len(str(value)) if isinstance(value, Decimal | PurePath) else 0)
    except ValueError:
        return 200


def _other(kind: type, value: Any) -> _Bounds:
    """The same for one value of another type. One that is not ready to be saved yet has nothing in it."""
    length = arrays.size(value)
    if length:
        return length, length + 1000, []
    try:
        registered = registry.of_class(kind)
        if registered is not None:
            return 0, len(registered.tag) + _FRAME, [[registered.to_plain(value)]]
        if kind in standard.WRITERS:
            return 0, 100, [[standard.WRITERS[kind].to_plain(value)]]
        if isinstance(value, enum.Enum):
            return 0, 1000, [[instances.enum_state(value)]]
        plan = instances.plan_of(kind)
        if plan is not None:
            names, values, _ = plan.take(value)
            return 0, 1000, [names, values]
        if frames.takes(value):
            return 0, 1000, [[frames.write(value)]]
    except Exception:
        pass  # it is not ready yet, or never will be: what writes it says so
    return 0, 0, []


def _sum(all_bounds: Any) -> _Bounds:
    least, most, inside = 0, 0.0, []
    for low, high, below in all_bounds:
        least, most = least + low, most + high
        inside += below
    return least, most, inside


_ANYWHERE = frozenset({str, bytes, int, *WRITERS, *_UNFOLDED})
"""Written again in each place."""
