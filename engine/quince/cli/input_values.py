"""The value of a word on a command line, or of a JSON file, for a port that says what it takes."""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
import datetime as dt
import enum
import importlib
import json
import re
import typing
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, get_args, get_origin
from uuid import UUID

from quince.processes.fitting import fitted
from quince.processes.hints import bare, choices_of, mismatch, shown
from quince.text import words_of


class WrongValue(ValueError):
    """It is nothing of the kind; the text says what to write."""


@dataclass(frozen=True, slots=True)
class Word:
    """A value as it stands on the command line."""

    text: str

    @property
    def value(self) -> Any:
        """JSON if it parses, else the text itself."""
        try:
            return json.loads(self.text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return self.text


def read_value(given: Any, hint: Any) -> Any:
    """The value that the port gets.

    Args:
        given: A `Word`, or a value of a JSON document.
        hint: What the port takes; None for anything.

    Raises:
        WrongValue: it is nothing of the kind, or nothing of the kind can be written; says what to write.
    """
    hint = object if hint is None else bare(hint)
    choices = choices_of(hint)
    if choices is not None:
        return _one_of(given, hint, choices)
    if get_origin(hint) is typing.Literal:
        return _literal(given, hint)
    kind = get_origin(hint) or hint
    if hint is None:
        kind = type(None)
    if not isinstance(kind, type) or kind is object:
        return _value(given)
    for base, read in _READERS.items():
        if issubclass(kind, base):
            return _read(given, kind, read)
    if issubclass(kind, enum.Enum):
        return _member(given, kind)
    return _made_of_parts(given, hint, kind, get_args(hint))


def _value(given: Any) -> Any:
    return given.value if isinstance(given, Word) else given


def _text(given: Any) -> str | None:
    """As a text, if it is one; numbers as they were written."""
    value = _value(given)
    if isinstance(value, str):
        return value
    if isinstance(given, Word):
        return given.text
    return None if isinstance(value, (bool, list, dict, type(None))) else repr(value)


def _one_of(given: Any, hint: Any, choices: Iterable[Any]) -> Any:
    value = _value(given)
    if not isinstance(value, str) and mismatch(value, hint) is None:
        return value
    kinds = sorted(choices, key=_looseness)
    said: list[str] = []
    for choice in kinds:
        try:
            return read_value(given, choice)
        except WrongValue as error:
            said.append(str(error))
    raise WrongValue(", or ".join(dict.fromkeys(said)))


def _looseness(hint: Any) -> int:
    """What reads any text comes last, and a text before a path or bytes."""
    kind = bare(hint)
    if kind is str:
        return 1
    return 2 if isinstance(kind, type) and issubclass(kind, (PurePath, bytes, bytearray)) else 0


def _literal(given: Any, hint: Any) -> Any:
    value, text = _value(given), _text(given)
    for one in get_args(hint):
        if (type(one) is type(value) and one == value) or (isinstance(one, str) and one == text):
            return one
        if isinstance(one, enum.Enum) and one.name == text:
            return one
    raise WrongValue(f"write one of {', '.join(map(str, get_args(hint)))}")


# What is written as one text


def _read(given: Any, kind: Any, read: tuple[Callable[[Any, str], Any], str]) -> Any:
    reader, how = read
    value = _value(given)
    if type(value) is kind:
        return value
    text = _text(given)
    if text is None:
        if kind is str:
            return value  # the port says what is wrong with it
        raise WrongValue(how)
    try:
        return reader(kind, text)
    except (ValueError, ArithmeticError, KeyError, TypeError, OSError):
        raise WrongValue(how) from None


def _truth(_: Any, text: str) -> bool:
    return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[text.lower()]


def _none(_: Any, text: str) -> None:
    if text.lower() not in ("none", "null"):
        raise ValueError


def _bytes(kind: Any, text: str) -> Any:
    for mark, decode in (("base64:", _from_base64), ("hex:", bytes.fromhex)):
        if text.startswith(mark):
            return kind(decode(text.removeprefix(mark)))
    return kind(text.encode())


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _moment(kind: Any, text: str) -> Any:
    found = re.fullmatch(r"(.*)\[(.+)\]", text)
    if found is None:
        return kind.fromisoformat(text)
    return kind.fromisoformat(found[1]).replace(tzinfo=zoneinfo.ZoneInfo(found[2]))


_UNITS = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1, "ms": 0.001}
_SPAN = re.compile(r"\s*([\d.]+)\s*(d|h|min|ms|m|s)")


def _duration(_: Any, text: str) -> dt.timedelta:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    if re.fullmatch(r"[\d.e+-]+", rest):
        return sign * dt.timedelta(seconds=float(rest))
    if re.fullmatch(r"\d+:\d\d(:\d\d(\.\d+)?)?", rest):
        hours, minutes, seconds = [*map(float, rest.split(":")), 0.0][:3]
        return sign * dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    parts = _SPAN.findall(rest)
    if not parts or _SPAN.sub("", rest).strip():
        raise ValueError
    return sign * dt.timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def _range(_: Any, text: str) -> range:
    return range(*map(int, text.removeprefix("range(").removesuffix(")").replace(",", ":").split(":")))


_READERS: Mapping[type, tuple[Callable[[Any, str], Any], str]] = {
    enum.Flag: (lambda kind, text: _flags(kind, text), "write names of members, with | between them"),
    bool: (_truth, "write true or false"),
    type(None): (_none, "write null"),
    dt.datetime: (_moment, "write a date and a time: 2026-01-31T12:00, 2026-01-31T12:00Z, "
                  "2026-01-31T12:00[Europe/Zurich]"),
    dt.date: (_moment, "write a date: 2026-01-31"),
    dt.time: (_moment, "write a time: 12:00 or 12:00:30"),
    dt.timedelta: (_duration, "write a duration: 90 (seconds), 1:30:00, 1.5h or 2d 30min"),
    Decimal: (lambda kind, text: kind(text), "write a number: 1.10"),
    Fraction: (lambda kind, text: kind(text), "write a fraction: 1/3"),
    UUID: (lambda kind, text: kind(text), "write a UUID: 12345678-1234-5678-1234-567812345678"),
    PurePath: (lambda kind, text: kind(text), "write a path"),
    range: (_range, "write a range: 0:10 or 0:10:2"),
    zoneinfo.ZoneInfo: (lambda kind, text: kind(text), "write the name of a zone: Europe/Zurich"),
    bytes: (_bytes, "write a text, hex:6869 or base64:aGk="),
    bytearray: (_bytes, "write a text, hex:6869 or base64:aGk="),
}  # fmt: skip
"""Classes whose values are written as one text; how; and what to write."""


def _flags(kind: Any, text: str) -> Any:
    whole = kind(0)
    for name in text.split("|"):
        whole |= kind[name.strip().removeprefix(f"{kind.__name__}.")]
    return whole


def _member(given: Any, kind: Any) -> Any:
    value, text = _value(given), _text(given)
    name = "" if text is None else text.removeprefix(f"{kind.__name__}.")
    if name in kind.__members__:
        return kind[name]
    for member in kind:
        if member.value == value or str(member.value) == text:
            return member
    raise WrongValue(f"write one of {', '.join(kind.__members__)}")


# What is written as JSON


def _made_of_parts(given: Any, hint: Any, kind: Any, arguments: tuple[Any, ...]) -> Any:
    value = _value(given)
    if kind in (int, float, complex, str):
        return _number_or_text(given, kind)
    if issubclass(kind, (list, tuple, set, frozenset, collections.deque)):
        return _several(given, hint, kind, arguments)
    if hasattr(kind, "__required_keys__"):  # a TypedDict
        hints = typing.get_type_hints(kind)
        return {name: read_value(one, hints.get(name)) for name, one in _object(value, kind).items()}
    if issubclass(kind, dict):
        key, item = arguments if len(arguments) == 2 else (None, None)
        made = {read_value(name, key): read_value(one, item) for name, one in _object(value, kind).items()}
        return made if kind is dict else _called(kind, made)
    if kind.__module__.partition(".")[0] in ("numpy", "pandas"):
        return _of_library(given, kind, arguments)
    if mismatch(value, hint) is None:
        return value
    return _instance(value, kind)


def _number_or_text(given: Any, kind: Any) -> Any:
    value = _value(given)
    if kind is str:
        return _text(given) if isinstance(given, Word) else value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return kind(value)
    elif not isinstance(value, bool):
        return fitted(value, kind)
    words = {int: "a whole number: 3", float: "a number: 1.5, 1e-3, nan or inf", complex: "1+2j"}
    raise WrongValue(f"write {words[kind]}")


def _several(given: Any, hint: Any, kind: Any, arguments: tuple[Any, ...]) -> Any:
    value = _value(given)
    if isinstance(value, dict) and hasattr(kind, "_fields"):
        return _instance(value, kind)
    if not isinstance(value, list):
        raise WrongValue(f'write a JSON list, as [1, 2] or ["a", "b"], for {shown(hint)}')
    if hasattr(kind, "_fields"):
        return _instance(dict(zip(kind._fields, value, strict=False)), kind)
    if kind is tuple and arguments and arguments[-1] is not ... and len(arguments) == len(value):
        return tuple(map(read_value, value, arguments))
    item = arguments[0] if arguments else None
    loose = issubclass(kind, (set, frozenset))
    return kind(_hashable(read_value(one, item)) if loose else read_value(one, item) for one in value)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _object(value: Any, kind: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise WrongValue(f'write a JSON object, as {{"name": 1}}, for {kind.__qualname__}')
    return value


def _instance(value: Any, kind: Any) -> Any:
    """An instance of a class that says what its fields are."""
    if hasattr(kind, "model_validate"):
        return _called(kind.model_validate, _object(value, kind))
    if not (dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__") or hasattr(kind, "_fields")):
        raise WrongValue(
            f"a {kind.__qualname__} cannot be written on a command line; submit the process from Python"
        )
    try:
        hints = typing.get_type_hints(kind)
    except Exception:  # names that exist for type checkers alone
        hints = {}
    named = {name: read_value(one, hints.get(name)) for name, one in _object(value, kind).items()}
    return _called(kind, **named)


def _of_library(given: Any, kind: Any, arguments: tuple[Any, ...]) -> Any:
    library: Any = importlib.import_module(kind.__module__.partition(".")[0])
    value = _value(given)
    if kind.__name__ == "ndarray":
        scalar = next(iter(get_args(arguments[-1])), None) if arguments else None
        element = scalar if isinstance(scalar, type) else None
        if isinstance(value, str) and value.startswith("@"):
            return _from_file(library, Path(value[1:]), element)
        if not isinstance(value, (list, int, float)):
            raise WrongValue("write an array as a JSON list, [[1, 2], [3, 4]], or its file, @array.npy")
        return _called(library.array, value, dtype=element)
    return _called(kind, value)


def _from_file(library: Any, file: Path, element: Any) -> Any:
    try:
        if file.suffix == ".npy":
            return library.load(file, allow_pickle=False)
        return library.loadtxt(file, dtype=float if element is None else element)
    except OSError as error:
        raise WrongValue(f"cannot read {str(file)!r}: {error.strerror or error}") from error
    except Exception as error:  # whatever numpy says
        raise WrongValue(
            f"{str(file)!r} has no array that can be read (.npy, or a text of numbers): {words_of(error)}"
        ) from error


def _called(make: Callable[..., Any], *places: Any, **named: Any) -> Any:
    """What a class makes of it; its own words if it does not take it."""
    try:
        return make(*places, **named)
    except Exception as error:  # whatever a class says
        name = getattr(make, "__qualname__", str(make))
        raise WrongValue(f"{name} does not take it: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
