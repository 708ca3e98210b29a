"""The codec: what goes in comes out, of the same type; what cannot go in is named."""

from __future__ import annotations

import datetime as dt
import math
import uuid
import zoneinfo
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from quince_persistence.codec import Unreadable, UnreadableValue, Unsaveable, decode, encode, register_type

# What can be saved

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_ZONES = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
    st.sampled_from(["Europe/Zurich", "America/New_York"]).map(zoneinfo.ZoneInfo),
)
_FOLDED = st.builds(
    lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=_ZONES), st.integers(0, 1)
)
_HASHABLE_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    _TEXT,
    st.binary(),
    _FOLDED,
    st.dates(),
    st.times(timezones=st.one_of(st.none(), st.just(dt.UTC))),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    _TEXT.map(PurePosixPath),
    _TEXT.map(PureWindowsPath),
    _TEXT.filter(lambda text: "\0" not in text).map(Path),
)
_HASHABLE = st.recursive(
    _HASHABLE_LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4).map(tuple), st.frozensets(inner, max_size=4)),
    max_leaves=6,
)
_VALUES = st.recursive(
    st.one_of(_HASHABLE, st.binary().map(bytearray)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_TEXT, inner, max_size=5),
        st.dictionaries(_HASHABLE, inner, max_size=4),
        st.sets(_HASHABLE, max_size=4),
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types all the way down, and in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, float):
        return one.hex() == float(other).hex()
    if isinstance(one, dt.datetime | dt.time):
        return bool(one == other) and (one.fold, one.utcoffset()) == (other.fold, other.utcoffset())
    if isinstance(one, Decimal):
        return one.as_tuple() == Decimal(other).as_tuple()
    return bool(one == other)


@settings(max_examples=200)
@given(_VALUES)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, -0.0, 2**64, 2**64 - 1, -(2**63), -(2**63) - 1, 10**400]
)
def test_numbers_at_the_edges(value: float) -> None:
    assert same(decode(encode([value, {"a": (value,)}])), [value, {"a": (value,)}])


def test_not_a_number() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode(Decimal("sNaN"))).is_snan()


def test_plain_values_cost_what_msgpack_costs() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": b"bytes"}}
    assert encode(value) == msgspec.msgpack.encode(value)


@settings(max_examples=150)
@given(
    npst.arrays(
        dtype=st.one_of(
            npst.scalar_dtypes(),
            npst.byte_string_dtypes(max_len=5),
            npst.unicode_string_dtypes(max_len=5),
            npst.array_dtypes(npst.integer_dtypes(), max_size=3),
        ),
        shape=npst.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_arrays(array: np.ndarray[Any, Any], fortran: bool) -> None:
    given = np.asfortranarray(array) if fortran else array
    value = decode(encode({"ctx": [given]}))["ctx"][0]
    assert type(value) is np.ndarray
    assert (value.dtype, value.shape) == (given.dtype, given.shape)
    assert value.tobytes() == given.tobytes()
    assert value.flags.f_contiguous == given.flags.f_contiguous
    assert value.flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        np.float64(1.5),
        np.float32(2.5),
        np.int8(-3),
        np.bool_(True),
        np.complex64(1j),
        np.datetime64("2020-01-01"),
        np.str_("x"),
    ],
)
def test_scalars_of_numpy(value: Any) -> None:
    again = decode(encode((value,)))[0]
    assert type(again) is type(value)
    assert again == value
    assert again.dtype == value.dtype


# Types that others teach it


@dataclass(frozen=True)
class Point:
    x: int
    y: Any


class Sub(Point):
    pass


register_type(Point, "tests.point", lambda p: (p.x, p.y), lambda plain: Point(*plain))


def test_registered_types_come_back_from_anywhere() -> None:
    value = {"a": [Point(1, {2, 3})], "b": (Point(1, Point(2, None)),), Point(0, 0): {Point(3, 4)}}
    assert decode(encode(value)) == value
    assert type(decode(encode(Sub(1, 2)))) is Sub  # a dataclass of its own
    with pytest.raises(ValueError, match=r"tests\.point"):
        register_type(Fraction, "tests.point", str, Fraction)


_STRANGE = msgspec.msgpack.Ext(18, msgspec.msgpack.encode(["elsewhere.thing", 1]))
EXTENSION_OF_NOBODY = msgspec.msgpack.encode({"a": [_STRANGE], "b": 1})


def test_a_type_that_is_not_known_here_is_named() -> None:
    value = decode(EXTENSION_OF_NOBODY)
    assert value["b"] == 1
    assert isinstance(value["a"][0], UnreadableValue)
    assert "elsewhere.thing" in repr(value["a"][0])
    assert encode(value) == EXTENSION_OF_NOBODY
    with pytest.raises(Unreadable, match=r"elsewhere\.thing"):
        str(value["a"][0].x)


# What cannot be saved


class Words(OrderedDict[str, int]):
    pass


class Names(list[str]):
    pass


class OwnTuple(tuple[int, int]):
    pass


class OwnNumber(int):
    pass


@dataclass
class both(dict[str, int]):  # noqa: N801
    x: int = 1


@pytest.mark.parametrize(
    ("value", "key", "kind", "advice"),
    [
        ({"model": {"weights": [0, 1, 2, object()]}}, "ctx.model.weights[3]", "object", "register_type"),
        ({"two words": {1: object()}}, "ctx['two words'][1]", "object", "register_type"),
        ({"f": (1, lambda: None)}, "ctx.f[1]", "function", "code is never saved"),
        ({"d": defaultdict(lambda: 1)}, "ctx.d", "defaultdict", "convert it to dict"),
        ({"d": Words(a=1)}, "ctx.d", "Words", "convert it to dict"),
        ({"d": Names(["a"])}, "ctx.d", "Names", "convert it to list"),
        ({"d": OwnTuple((1, 2))}, "ctx.d", "OwnTuple", "convert it to tuple"),
        ({"d": OwnNumber(1)}, "ctx.d", "OwnNumber", "convert it to int"),
        ({"d": both()}, "ctx.d", "both", "convert it to dict"),
        ({"a": np.array([object()])}, "ctx.a", "ndarray", "plain bytes"),
        ({"a": np.ma.masked_array([1])}, "ctx.a", "MaskedArray", "register_type"),
        ({"a": np.array([("x", 1)], dtype=[("n", "O"), ("v", "i4")])}, "ctx.a", "ndarray", "plain bytes"),
        ({"e": ValueError("x")}, "ctx.e", "ValueError", "register_type"),
        ({"p": Point(1, {"q": [object()]})}, "ctx.p[1].q[0]", "object", "register_type"),
    ],
)
def test_what_cannot_be_saved_is_named(value: Any, key: str, kind: str, advice: str) -> None:
    with pytest.raises(Unsaveable, match=advice) as caught:
        encode(value, "ctx")
    assert caught.value.key == key
    assert kind in caught.value.type_name
    assert str(caught.value).startswith(f"{key} cannot be saved")


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    with pytest.raises(Unsaveable, match="nested"):
        encode(deep, "inputs")


def test_half_a_character_is_refused() -> None:
    with pytest.raises(Unsaveable, match="Unicode"):
        encode({"a": "\ud800"}, "inputs")


# What cannot be read


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_garbage_is_unreadable_or_plain(data: bytes) -> None:
    try:
        decode(data)
    except Unreadable:
        return


@settings(max_examples=200)
@given(_VALUES, st.data())
def test_damaged_bytes_are_unreadable_or_another_value(value: Any, data: st.DataObject) -> None:
    good = bytearray(encode(value))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    try:
        decode(bytes(good))
    except Unreadable:
        return


def test_truncated_bytes_are_unreadable() -> None:
    whole = encode({"a": (1, uuid.uuid4(), np.arange(4))})
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            decode(whole[:length])


def test_a_bomb_of_nested_extensions_is_unreadable() -> None:
    data = msgspec.msgpack.encode([])
    for _ in range(3000):
        data = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, data))
    with pytest.raises(Unreadable):
        decode(data)


@pytest.mark.parametrize("kind", ["|O", "O", "|T16"])
def test_an_array_of_objects_is_never_read(kind: str) -> None:
    payload = msgspec.msgpack.encode([kind, [1], "C", bytes(16)])
    assert isinstance(decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(16, payload))), UnreadableValue)


def test_an_array_of_another_size_than_its_bytes_is_unreadable() -> None:
    for shape in ([1000], [-1], [2**62, 2**62]):
        payload = msgspec.msgpack.encode(["<f8", shape, "C", bytes(8)])
        assert isinstance(decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(16, payload))), UnreadableValue)
