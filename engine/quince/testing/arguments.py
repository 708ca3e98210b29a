"""What a test gives to the stand-ins and the sandbox, checked: what makes no sense is told in a sentence."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any

from quince.processes.fitting import fitted


def whole(call: str, name: str, value: object, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number.

    Raises:
        ValueError: it is none, or too small or too large.
    """
    number = fitted(value, int)
    low = -math.inf if least is None else least
    high = math.inf if most is None else most
    if type(number) is not int or not low <= number <= high:
        limits = "" if least is None else f" from {least} on" if most is None else f" from {least} to {most}"
        raise ValueError(f"{call}: {name} is {reprlib.repr(value)}, and must be a whole number{limits}")
    return number


def mapping(call: str, name: str, value: object, example: str) -> dict[str, Any]:
    """A mapping with names; an empty one for None.

    Raises:
        ValueError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{call}: {name} is {reprlib.repr(value)}, and must be a mapping, as {example}")
    return dict(value)


def text(call: str, name: str, value: object) -> str:
    """A text that a file can have.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str) or "\0" in value or value != value.encode("utf-8", "ignore").decode():
        raise ValueError(f"{call}: {name} is {reprlib.repr(value)}, and must be a text")
    return value


def file_name(call: str, value: object) -> str:
    """The name of a file in a folder.

    Raises:
        ValueError: it can be none.
    """
    name = text(call, "the name", value)
    if name in ("", ".", "..") or "/" in name or len(name.encode()) > 200:
        raise ValueError(f"{call}: the name is {reprlib.repr(value)}, and must be that of a file")
    return name
