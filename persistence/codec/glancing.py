"""Refusing at once what cannot be saved, without writing it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from itertools import islice
from typing import Any

from persistence.codec import arrays, classes, instances, registry
from persistence.codec.kinds import WRITERS
from persistence.codec.writing import SCALARS, encode

GLANCE = 64
"""How many values of a container are looked at."""

_CONTAINERS = frozenset({list, tuple, set, frozenset})


def check(value: Any, where: str) -> None:
    """Refuse a value that `encode` would refuse, as far as that can be seen at a glance.

    Looks at the value, and at the first values in it if it is a container; `encode` looks at all.

    Args:
        where: What the value is, for the message of an error.

    Raises:
        Unsaveable: as `encode`.
    """
    if type(value) in SCALARS:
        return
    seen, around = 0, [value]
    while around and seen < GLANCE:
        one = around.pop()
        seen += 1
        kind = type(one)
        if kind in SCALARS:
            continue
        if kind is dict:
            around.extend(islice(one.values(), GLANCE - seen))
        elif kind in _CONTAINERS:
            around.extend(islice(one, GLANCE - seen))
        elif (held := _held(one)) is not None:
            around.extend(islice(held, GLANCE - seen))
        elif not _is_leaf(one):
            encode(value, where)  # raises, and says where in it
            return


def _held(value: Any) -> Iterable[Any] | None:
    """What an instance holds whose class can be found again; None if it is nothing of the kind."""
    kind = type(value)
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
