"""Refusing at once what cannot be saved, or is too large, without writing it."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from quince_persistence.codec import arrays, classes, instances, registry, sizing, standard
from quince_persistence.codec.kinds import WRITERS
from quince_persistence.codec.writing import SCALARS, encode
from quince_persistence.errors import TooLarge

LOOKED_AT = 64
"""How many values of a container are looked at."""

_TEXT = frozenset({str})
_SIZED = frozenset({str, bytes})
_CONTAINERS = frozenset({list, tuple, set, frozenset})


def check(value: Any, where: str) -> int:
    """Refuse a value that is too large to be saved, or that `encode` would refuse as far as that can be seen
    at a glance.

    Looks at the types of the value and of the first values in it, if it is a container; `encode` at all.

    Args:
        where: What the value is, for the message of an error.

    Returns:
        About how many bytes it has.

    Raises:
        TooLarge: names where it is, its size and the limit.
        Unsaveable: as `encode`.
    """
    seen = _looked_over(value, where)
    if seen is not None and 4 * seen <= sizing.LEAST:
        return seen
    limit = sizing.largest_value()
    size, most = sizing.bounds(value, limit)
    if size <= limit < most:
        size = len(encode(value, where))
    if size > limit:
        raise TooLarge(where, size, limit)
    return size


def check_together(values: Mapping[Any, Any], where: str) -> None:
    """Refuse values that are saved as one, and are too large together.

    Raises:
        TooLarge: names the largest of them.
    """
    limit = sizing.largest_together()
    sizes = {key: sizing.bounds(value, limit)[0] for key, value in values.items()}
    if sum(sizes.values()) > limit:
        largest = max(sizes, key=lambda key: sizes[key])
        raise TooLarge(where, sum(sizes.values()), limit, (f"{where}.{largest}", sizes[largest]))


def check_step(size: int, where: str) -> None:
    """Refuse what one step would commit, if that is too much.

    Raises:
        TooLarge: all of it has more bytes than one step may commit.
    """
    if size > sizing.largest_step():
        raise TooLarge(where, size, sizing.largest_step())


def _looked_over(value: Any, where: str) -> int | None:
    """About how many bytes a value has (texts by their length); None if not all of it was seen."""
    if type(value) in SCALARS and type(value) not in _SIZED:
        return value.bit_length() // 8 if type(value) is int else 0
    seen, size, around, whole = 0, 0, [value], True
    while around and seen < LOOKED_AT:
        one = around.pop()
        seen += 1
        kind = type(one)
        if kind in _SIZED:
            size += len(one)
        elif kind is int:
            size += one.bit_length() // 8
        elif kind in SCALARS:
            continue
        elif kind is dict:
            whole = whole and len(one) <= LOOKED_AT - seen and _TEXT.issuperset(map(type, one))
            size += sum(map(len, one)) if whole else 0
            around.extend(islice(one.values(), LOOKED_AT - seen))
        elif kind in _CONTAINERS:
            whole = whole and len(one) <= LOOKED_AT - seen
            around.extend(islice(one, LOOKED_AT - seen))
        elif arrays.takes(one):
            size += one.nbytes
        elif (held := _held(one)) is not None:
            whole = False
            around.extend(islice(held, LOOKED_AT - seen))
        elif _is_leaf(one):
            whole = False
        else:
            encode(value, where)  # raises, and says where in it
            return None
    return size if whole and not around else None


def _held(value: Any) -> Iterable[Any] | None:
    """What a container, or an instance whose class can be found again, holds; None if it is neither."""
    kind = type(value)
    known = standard.WRITERS.get(kind)
    if known is not None and known.can_name(value):
        return (
            dict.values(value)
            if isinstance(value, dict)
            else value
            if isinstance(value, deque | list)
            else ()
        )
    if registry.of_class(kind) is not None or kind in WRITERS or isinstance(value, enum.Enum):
        return None
    plan = instances.plan_of(kind)
    if plan is None:
        return None
    try:
        classes.name_of(kind)
        return plan.take(value)[1]
    except ValueError:
        return None


def _is_leaf(value: Any) -> bool:
    kind = type(value)
    return kind in WRITERS or kind is bytearray or registry.of_class(kind) is not None or arrays.takes(value)
