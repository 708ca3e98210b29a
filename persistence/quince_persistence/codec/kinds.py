"""The types that msgpack does not have: for each a code, and plain values to write it with.

A code is for ever: it stands in every store.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID


class Code(enum.IntEnum):
    """Extension types of msgpack, as Quince uses them."""

    TUPLE = 1
    SET = 2
    FROZENSET = 3
    MAP = 4
    BIG_INT = 5
    COMPLEX = 6
    DATETIME = 7
    DATE = 8
    TIME = 9
    TIMEDELTA = 10
    DECIMAL = 11
    FRACTION = 12
    UUID = 13
    PATH = 14
    BYTEARRAY = 15
    ARRAY = 16
    SCALAR = 17
    REGISTERED = 18
    STANDARD = 19
    INSTANCE = 20
    ENUM = 21
    SHARED = 22
    REF = 23
    FRAME = 24


class Shape(enum.StrEnum):
    """What something that is referred to begins as, before its content is known."""

    LIST = "list"
    DICT = "dict"
    OTHER = "other"


class UnsaveableZone(ValueError):
    """A time zone that has no name that another machine could look up."""


def zone_to_plain(zone: dt.tzinfo | None) -> Any:
    if zone is None:
        return None
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key is not None:
        return zone.key
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        microseconds = offset // dt.timedelta(microseconds=1)
        name = zone.tzname(None)
        return microseconds if name == dt.timezone(offset).tzname(None) else [microseconds, name]
    raise UnsaveableZone(f"its time zone ({type(zone).__name__}) has no name; use zoneinfo.ZoneInfo or UTC")


def zone_from_plain(plain: Any) -> dt.tzinfo | None:
    if plain is None:
        return None
    if isinstance(plain, str):
        return zoneinfo.ZoneInfo(plain)
    if isinstance(plain, list):  # `CET`, as `astimezone()` gives it
        microseconds, name = plain
        return dt.timezone(dt.timedelta(microseconds=microseconds), name)
    return dt.UTC if plain == 0 else dt.timezone(dt.timedelta(microseconds=plain))


def _moment_to_plain(value: dt.datetime | dt.time) -> Any:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, zone_to_plain(value.tzinfo)]


def _moment_from_plain(kind: type[dt.datetime] | type[dt.time], plain: Any) -> dt.datetime | dt.time:
    text, fold, zone = plain
    return kind.fromisoformat(text).replace(fold=fold, tzinfo=zone_from_plain(zone))


def _fraction_to_plain(value: Fraction) -> Any:
    try:
        return str(value)
    except ValueError:  # more digits than Python turns into text
        return [hex(value.numerator), hex(value.denominator)]


def _fraction_from_plain(plain: Any) -> Fraction:
    return Fraction(plain) if isinstance(plain, str) else Fraction(*(int(part, 16) for part in plain))


_PATHS: dict[str, Callable[[str], Any]] = {
    "posix": Path if isinstance(Path(), PosixPath) else PurePosixPath,
    "windows": Path if isinstance(Path(), WindowsPath) else PureWindowsPath,
    "pure posix": PurePosixPath,
    "pure windows": PureWindowsPath,
}
_PATH_KINDS: dict[type[PurePath], str] = {
    PosixPath: "posix",
    WindowsPath: "windows",
    PurePosixPath: "pure posix",
    PureWindowsPath: "pure windows",
}


def _path_to_plain(value: Any) -> Any:
    return [_PATH_KINDS[type(value)], str(value)]


def _path_from_plain(plain: Any) -> Any:
    kind, text = plain
    return _PATHS[kind](text)


WRITERS: dict[type, tuple[Code, Callable[[Any], Any]]] = {
    complex: (Code.COMPLEX, lambda v: [v.real, v.imag]),
    dt.datetime: (Code.DATETIME, _moment_to_plain),
    dt.date: (Code.DATE, dt.date.isoformat),
    dt.time: (Code.TIME, _moment_to_plain),
    dt.timedelta: (Code.TIMEDELTA, lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: (Code.DECIMAL, str),
    Fraction: (Code.FRACTION, _fraction_to_plain),
    UUID: (Code.UUID, lambda v: v.bytes),
    **dict.fromkeys(_PATH_KINDS, (Code.PATH, _path_to_plain)),
}
"""Leaves: how each is made plain."""

READERS: dict[int, Callable[[Any], Any]] = {
    Code.TUPLE: tuple,
    Code.SET: set,
    Code.FROZENSET: frozenset,
    Code.MAP: lambda plain: dict(zip(plain[::2], plain[1::2], strict=True)),
    Code.BIG_INT: lambda plain: int.from_bytes(plain, "big", signed=True),
    Code.COMPLEX: lambda plain: complex(*plain),
    Code.DATETIME: functools.partial(_moment_from_plain, dt.datetime),
    Code.DATE: dt.date.fromisoformat,
    Code.TIME: functools.partial(_moment_from_plain, dt.time),
    Code.TIMEDELTA: lambda plain: dt.timedelta(*plain),
    Code.DECIMAL: Decimal,
    Code.FRACTION: _fraction_from_plain,
    Code.UUID: lambda plain: UUID(bytes=plain),
    Code.PATH: _path_from_plain,
    Code.BYTEARRAY: bytearray,
}
"""How each is made again from its plain value."""
