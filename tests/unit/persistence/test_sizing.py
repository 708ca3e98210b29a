"""How many bytes a value has, before it is written; and what is refused because it has too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from quince_persistence.codec import TooLarge, Unsaveable, check, check_together, encode
from quince_persistence.codec.sizing import VARIABLE, bounds
from tests.unit.persistence.test_codec import _VALUES

MB = 1_000_000


@pytest.fixture(autouse=True)
def _one_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")


@settings(max_examples=200)
@given(_VALUES)
def test_what_is_written_lies_within_the_bounds(value: Any) -> None:
    least, most = bounds(value, 10**9)
    assert least <= len(encode(value)) <= most


@pytest.mark.parametrize(
    "value",
    [
        b"x" * (MB + 1),
        bytearray(MB + 1),
        "x" * (MB + 1),
        "é" * (MB // 2 + 1),
        2 ** (8 * MB + 8),
        [1.5] * (MB // 9 + 1),
        [70_000] * (MB // 5 + 1),
        ["x" * 1000] * 1001,
        [0] * 70 + ["x" * MB],
        {"a": {"b": (1, {"x" * MB})}},
        {"x" * (MB + 1): 1},
        np.zeros(MB // 8 + 1),
        {"a": [np.zeros(MB // 16 + 1), np.zeros(MB // 16 + 1)]},
        (((0,) * 100,) * 100,) * 101,
        Path("x" * (MB + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_one_value_is_refused_with_its_size_and_the_limit(value: Any) -> None:
    with pytest.raises(TooLarge, match=r"^ctx\.a cannot be saved: .* MB, and at most 1 MB can be") as refused:
        check(value, "ctx.a")
    assert refused.value.key == "ctx.a"
    assert refused.value.size > refused.value.limit == MB
    assert isinstance(refused.value, Unsaveable)


@pytest.mark.parametrize("value", [b"x" * (MB - 5), [0] * (MB - 5), np.zeros(MB // 8 - 100), ["e" * 900_000]])
def test_what_just_fits_is_taken(value: Any) -> None:
    assert abs(check(value, "ctx.a") - len(encode(value))) < 200


def test_what_stands_in_several_places_counts_once() -> None:
    part, itself = b"x" * (MB // 2), list[Any]()
    shared = [part]
    itself.extend([itself] * 500)
    for value in ([shared] * 500, {"a": shared, "b": (shared, shared)}, itself, {"a": itself}):
        assert check(value, "ctx.a") >= len(encode(value)) - 20_000
    with pytest.raises(TooLarge):
        check([part, part, part], "ctx.a")


def test_what_is_saved_as_one_may_have_twice_as_much() -> None:
    part = b"x" * (MB * 3 // 4)
    check_together({"a": part, "b": part}, "ctx")
    with pytest.raises(TooLarge, match=r"ctx cannot be saved: 2.3 MB \(ctx\.c alone has 750 kB\)"):
        check_together({"c": part, "a": part, "b": part}, "ctx")
    with pytest.raises(TooLarge, match=r"inputs\.deep\.a alone has 1.5 MB\), and at most 2 MB"):
        encode({"deep": {"a": [part[:-9]] * 2, "b": part}, "c": b""} | {"d": part}, "inputs")


@pytest.mark.parametrize(
    ("said", "limit"), [("0.5", MB // 2), ("0", 200 * MB), ("9999", 200 * MB), ("?", 200 * MB)]
)
def test_the_limit_can_be_lowered(monkeypatch: pytest.MonkeyPatch, said: str, limit: int) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(TooLarge) as refused:
        check(b"x" * (limit + 1), "x")
    assert refused.value.limit == limit
