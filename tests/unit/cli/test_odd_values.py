"""Values and moments that are hard to show: they spoil neither a list nor what stands beside them."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from collections import Counter, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest

from quince.cli.documents import plain
from quince.cli.results import show_values
from quince.moments import clock, iso, span
from quince.monitor.details import error_record_of, readable
from quince_persistence.codec import decode, encode
from tests.unit.persistence.test_codec import EXTENSION_OF_NOBODY


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Cell:
    a: float
    note: Any = None

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Point(NamedTuple):
    x: int


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
        (253402300799.0, "9999-12-31T23:59:59.000Z"),
        (253402300800.0, "+010000-01-01T00:00:00.000Z"),
        (979_241_529_600.0, "+033000-12-06T00:00:00.000Z"),
        (-62135596801.0, "0000-12-31T23:59:59.000Z"),
        (-70_000_000_000.0, "-000249-10-15T19:33:20.000Z"),
        (1e300, "1e+300 s after 1970"),
        (math.inf, "inf s after 1970"),
        (math.nan, "nan s after 1970"),
    ],
)
def test_every_moment_has_a_text(moment: float, said: str) -> None:
    assert iso(moment) == said
    assert clock(moment)[:4] == said[:4] or moment < 0 or abs(moment) > 2.5e11


def test_every_span_has_a_text() -> None:
    assert span(1e300) == "1e+295 d"
    assert span(math.inf) == "inf d"
    assert span(86400 * 365000) == "365000 d"


LOOP: list[Any] = [1]
LOOP.append(LOOP)
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
WIDE: Any = [1]
for _ in range(60):
    WIDE = [WIDE, WIDE]


@pytest.mark.parametrize(
    ("value", "document"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**70, 2**70),
        (10**5000, hex(10**5000)),
        (Fraction(1, 3), "1/3"),
        (Decimal("1e999999"), "1E+999999"),
        (1j, "1j"),
        (dt.timedelta(days=1), 86400.0),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Path("a/b"), "a/b"),
        (UUID(int=1), str(UUID(int=1))),
        (b"x", "eA=="),
        (range(3), "range(0, 3)"),
        ({3, 1}, [1, 3]),
        (deque([1]), [1]),
        (Counter("aa"), {"a": 2}),
        ({1: "a", "1": "b"}, [[1, "a"], ["1", "b"]]),
        (Colour.RED, "red"),
        (Cell(1.0, Colour.RED), {"a": 1.0, "note": "red"}),
        (Point(1), {"x": 1}),
        (np.float32(0.5), 0.5),
        (np.array([1.0, math.nan]), [1.0, "nan"]),
        (np.array(["2026-01-01"], "M8[ns]"), ["2026-01-01T00:00:00.000000000"]),
        (np.array([1j]), ["1j"]),
        (Rude(), "<Rude that cannot be shown: RuntimeError>"),
        (LOOP, [1, "..."]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_value_has_a_document(value: Any, document: Any) -> None:
    assert plain(value) == document
    json.dumps(plain(value), allow_nan=False)
    show_values({"value": value})


@pytest.mark.parametrize("value", [DEEP, WIDE], ids=["deep", "wide"])
def test_what_is_far_too_much_is_cut(value: Any) -> None:
    assert "..." in json.dumps(plain(value))
    show_values({"value": {"a": value}})


def test_what_cannot_be_read_stands_beside_what_can(capsys: pytest.CaptureFixture[str]) -> None:
    values = readable(EXTENSION_OF_NOBODY)
    assert plain(values)["b"] == 1
    assert plain(values)["a"][0]["unreadable"] == "elsewhere.thing"
    show_values(values)
    assert "unreadable elsewhere.thing" in capsys.readouterr().out
    assert "unreadable" in readable(b"\xc1garbage")
    assert "unreadable" in readable(encode(3))
    assert error_record_of(b"\xc1").type_name == "Unreadable"
    assert decode(EXTENSION_OF_NOBODY)["b"] == 1
