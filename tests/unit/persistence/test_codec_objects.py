"""The codec: values of everyday classes, two names for one object, and what cannot be read any more."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import http
import math
import subprocess
import sys
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import numpy as np
import pydantic
import pytest

from quince_persistence.codec import (
    UnreadableValue,
    Unsaveable,
    check,
    classes,
    decode,
    encode,
    encode_each,
    same,
)
from quince_persistence.codec.reading import parts
from quince_persistence.errors import Unreadable

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"
    PAIR = (1, [2])


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Cell:
    a: float
    atoms: list[str] = field(default_factory=list)
    volume: float = field(init=False, default=0.0)
    later: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.note = "made"

    @functools.cached_property
    def cube(self) -> float:
        return self.a**3


@dataclass(frozen=True, slots=True)
class Grid:
    points: tuple[int, ...]
    cell: Cell | None = None


@dataclass(eq=False)
class Box(Generic[T]):
    content: T


class Special(Cell):
    pass


class Point(NamedTuple):
    x: int
    y: list[int]


Old = namedtuple("Old", "a b", defaults=[7])


@attrs.define
class Atom:
    name: str
    charge: int = 0


@attrs.frozen
class Bond:
    ends: tuple[Atom, Atom]
    _order: int = 1


class Model(pydantic.BaseModel):
    x: int
    names: list[str] = []
    when: dt.date | None = None


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Open(pydantic.BaseModel, extra="allow"):
    inner: Model
    _secret: int = pydantic.PrivateAttr(default=3)


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes are found in modules that are imported, and nowhere else."""
    monkeypatch.setattr(classes, "_known", [])


VALUES = [
    *Colour,
    Level.LOW,
    Word.YES,
    Right.READ,
    Right.READ | Right.WRITE,
    Right(0),
    http.HTTPStatus.OK,
    Cell(1.0, ["H"]),
    Special(2.0),
    Grid((1, 2), Cell(3.0)),
    Point(1, [2]),
    Old(1),
    Atom("H"),
    Bond((Atom("H"), Atom("O", -2)), 2),
    Model(x=1, names=["a"], when=dt.date(2026, 1, 2)),
    Open.model_validate({"inner": Model(x=2), "more": [1]}),
    Numbers([1]),
    OrderedDict([("b", 1), ("a", [2])]),
    Counter("hello"),
    defaultdict(list, {"a": [1]}),
    defaultdict(None, {1: 2}),
    deque([1, [2]], maxlen=5),
    deque("ab"),
    range(3, 10**30, 2),
    zoneinfo.ZoneInfo("Europe/Zurich"),
    dt.UTC,
    dt.timezone(dt.timedelta(hours=1)),
    slice(1, None),
    Fraction(10**5000, 3),
    {Level.LOW: {Point(1, []).x: Grid((1,))}},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_everyday_values_come_back(value: Any) -> None:
    again = decode(encode({"ctx": [value]}))["ctx"][0]
    assert type(again) is type(value)
    assert again == value
    assert getattr(again, "__dict__", None) == getattr(value, "__dict__", None)
    assert same(encode(again), encode(value))
    if isinstance(value, deque):
        assert again.maxlen == value.maxlen
    if isinstance(value, defaultdict):
        assert again.default_factory is value.default_factory
    if isinstance(value, enum.Enum) and not isinstance(value, enum.Flag):
        assert again is value


def test_private_and_extra_parts_of_models_come_back() -> None:
    model = Open.model_validate({"inner": Model(x=2), "more": [1]})
    model._secret = 9
    again = decode(encode(model))
    assert (again._secret, again.model_extra, again.model_fields_set) == (9, {"more": [1]}, {"inner", "more"})
    assert again.inner.model_fields_set == {"x"}


def test_generic_dataclasses_come_back() -> None:
    assert decode(encode(Box[int](3))).content == 3


def test_what_is_computed_again_is_not_saved() -> None:
    cell = Cell(2.0)
    assert cell.cube == 8
    again = decode(encode(cell))
    assert "cube" not in vars(again)
    assert again.note == "made"


def test_a_class_inside_a_function_is_refused_at_once() -> None:
    @dataclass
    class Local:
        x: int

    for refuse in (lambda: encode({"a": Local(1)}, "ctx"), lambda: check({"a": Local(1)}, "ctx")):
        with pytest.raises(Unsaveable, match=r"ctx\.a cannot be saved.*Local.*inside a function"):
            refuse()


def test_an_unsaveable_field_is_named() -> None:
    with pytest.raises(Unsaveable, match=r"^ctx\.box\.content\[0\] cannot"):
        encode({"box": Box([object()])}, "ctx")


def test_exceptions_and_dicts_that_are_dataclasses_are_refused() -> None:
    with pytest.raises(Unsaveable, match="Trouble"):
        encode(Trouble(1))


@dataclass
class Trouble(Exception):
    code: int


# Two names for one object


def test_two_names_for_one_object_stay_two_names() -> None:
    rows, cell, numbers = [1], Cell(1.0), np.arange(3)
    value = {
        "rows": rows,
        "again": (rows, {"deep": rows}),
        "cell": cell,
        "box": Box(cell),
        "numbers": [numbers, numbers],
        "atoms": cell.atoms,
        "set": [one := {1}, one],
        "bytes": [two := bytearray(b"x"), two],
        "map": [three := {1: 2}, three],
        "ordered": [four := OrderedDict(a=rows), four],
        "point": [five := Point(1, rows), five],
    }
    again = decode(encode(value))
    again["rows"].append(2)
    assert again["again"][0] is again["again"][1]["deep"] is again["rows"]
    assert again["box"].content is again["cell"]
    assert again["cell"].atoms is again["atoms"]
    assert again["ordered"][0]["a"] is again["rows"]
    assert type(again["point"][0]) is Point
    assert again["point"][0].y is again["rows"]
    for key in ("numbers", "set", "bytes", "map", "ordered", "point"):
        assert again[key][0] is again[key][1]
    assert same(encode(value), encode(decode(encode(value))))


def test_what_contains_itself_comes_back() -> None:
    row: list[Any] = [1]
    row.append(row)
    table: dict[Any, Any] = {"row": row}
    table["self"] = table
    table[3] = table
    box: Box[Any] = Box(None)
    box.content = [box, table]
    again = decode(encode({"box": box}))["box"]
    assert again.content[0] is again
    inner = again.content[1]
    assert inner["self"] is inner is inner[3]
    assert inner["row"][1] is inner["row"]
    queue: deque[Any] = deque()
    queue.append(queue)
    with pytest.raises(Unsaveable, match=r"ctx\.q.* cannot be saved.*contains itself"):
        encode({"q": queue}, "ctx")


def test_what_is_named_often_is_written_once() -> None:
    whole: Any = [0]
    for _ in range(100):
        whole = [whole, whole]
    data = encode({"x": whole})
    assert len(data) < 5000
    assert encode(decode(data)) == data


def test_each_by_itself_shares_nothing() -> None:
    rows = [1]
    data = encode_each({"a": rows, "b": [rows, rows], "c": 1}, "inputs")
    one = {key: decode(raw) for key, raw in parts(data).items()}
    assert one == decode(data) == {"a": [1], "b": [[1], [1]], "c": 1}
    assert one["b"][0] is one["b"][1]
    assert decode(data)["a"] is not decode(data)["b"][0]
    with pytest.raises(Unsaveable, match=r"^inputs\.b\.x cannot"):
        encode_each({"a": (1,), "b": {"x": object()}}, "inputs")


def test_views_of_arrays_are_told() -> None:
    views: list[Any] = []
    whole = np.arange(4)
    encode({"a": whole, "b": whole[::2]}, views=views)
    assert len(views) == 1


# What cannot be read any more


@pytest.fixture
def gone() -> Iterator[Callable[[str], None]]:
    """Take a class away from this module, until the end of the test."""
    module, taken = sys.modules[__name__], {}

    def take(name: str) -> None:
        taken[name] = getattr(module, name)
        delattr(module, name)

    yield take
    for name, value in taken.items():
        setattr(module, name, value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Colour.RED, "Colour"),
        (Grid((1,), Cell(2.0)), "Grid"),
        (Box([Cell(1.0)]), "Box"),
        (Point(1, [2]), "Point"),
        (Atom("H"), "Atom"),
        (Model(x=1), "Model"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_that_is_gone_spoils_nothing_else(value: Any, name: str, gone: Callable[[str], None]) -> None:
    rows = [1]
    data = encode({"x": value, "keys": {1: value}, "n": 1, "rows": [rows, rows]})
    gone(name)
    again = decode(data)
    assert again["n"] == 1
    assert again["rows"][0] is again["rows"][1]
    assert isinstance(again["x"], UnreadableValue)
    one: Any = again["x"]
    assert name in repr(one)
    uses: list[Callable[[], Any]] = [
        lambda: one.x,
        lambda: one[0],
        lambda: list(one),
        lambda: one + 1,
        lambda: one == 1,
        lambda: value != one,
        lambda: bool(one),
        one,
    ]
    for use in uses:
        with pytest.raises(Unreadable, match=name):
            use()
    assert same(encode(again), data)
    assert not hasattr(one, "anything")


def test_what_a_lost_object_shares_stays_shared(gone: Callable[[str], None]) -> None:
    rows: list[Any] = [1]
    box = Box(rows)
    rows.append(box)
    data = encode({"box": box, "rows": rows, "box again": box})
    gone("Box")
    again = decode(data)
    assert again["rows"][1] is again["box"] is again["box again"]
    again["rows"].append(2)
    data = encode(again)
    assert same(encode(decode(data)), data)
    assert decode(data)["rows"][2] == 2


def test_a_class_of_another_form_is_said(gone: Callable[[str], None]) -> None:
    data = encode([Grid((1,)), Colour.RED, Point(1, [])])
    for name in ("Grid", "Colour", "Point"):
        gone(name)
    module: Any = sys.modules[__name__]
    other = {"__module__": __name__}
    module.Grid = dataclasses.make_dataclass("Grid", ["points", "more"], namespace=other)
    colours: Any = enum.Enum
    module.Colour = colours("Colour", ["BLUE"], module=__name__)
    module.Point = int
    assert [one.unreadable_reason for one in decode(data)] == [
        "Grid has no field 'cell' any more",
        "Colour has no member 'RED' now",
        f"{__name__}:Point is not a namedtuple here",
    ]
    module.Grid = dataclasses.make_dataclass("Grid", ["points", "cell", ("extra", int, 5)], namespace=other)
    assert decode(data)[0].extra == 5  # a field with a default may be added


def _stored(code: int, payload: Any) -> Any:
    pack = msgspec.msgpack.encode
    return decode(pack(msgspec.msgpack.Ext(code, pack(payload))))


def test_nothing_but_such_classes_is_ever_made() -> None:
    assert issubclass(subprocess.Popen, object)  # it is imported
    content = msgspec.msgpack.Ext(0, msgspec.msgpack.encode([["true"]]))
    for family in ("dataclass", "attrs", "pydantic", "namedtuple", "anything"):
        value = _stored(20, [family, "subprocess:Popen", ["args"], 1, content])
        assert isinstance(value, UnreadableValue)
    two = msgspec.msgpack.Ext(0, msgspec.msgpack.encode([1, 2]))
    for value in (
        _stored(21, ["subprocess:Popen", "true"]),
        _stored(20, ["dataclass", f"{__name__}:Cell", ["a", "__class__"], 1, two]),
        _stored(99, [1]),
    ):
        assert isinstance(value, UnreadableValue)


def test_a_fixed_zone_keeps_its_name() -> None:
    zone = dt.timezone(dt.timedelta(hours=1), "CET")
    for value in (zone, dt.datetime(2026, 1, 1, tzinfo=zone), dt.time(1, tzinfo=zone)):
        assert repr(decode(encode(value))) == repr(value)


def test_a_zone_that_is_not_known_here_is_unreadable() -> None:
    data = encode([dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich")), 1])
    value = decode(data.replace(b"Zurich", b"Zuruch"))
    assert isinstance(value[0], UnreadableValue)
    assert "Zuruch" in value[0].unreadable_reason
    assert value[1] == 1


def test_numbers_that_no_text_holds_come_back() -> None:
    assert decode(encode([10**5000, math.inf]))[0] == 10**5000
