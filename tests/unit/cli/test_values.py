"""Inputs from the command line."""

from __future__ import annotations

import collections.abc
import datetime as dt
import enum
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

from quince import Process
from quince.cli.errors import WrongUsage
from quince.cli.input_values import Word
from quince.cli.inputs import parse_inputs
from quince.errors import InvalidInput
from quince.processes.creation import new_process
from quince.processes.spec import ProcessSpec


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3.5", -3.5),
        ("true", True),
        ("null", None),
        ("hello", "hello"),
        ('"3"', "3"),
        ("", ""),
        ("a=b", "a=b"),
        ('{"a": [1, 2]}', {"a": [1, 2]}),
        ("[1, 2", "[1, 2"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_json_or_a_plain_string(text: str, value: Any) -> None:
    assert Word(text).value == value
    assert type(Word(text).value) is type(value)


def test_names_with_dots_go_into_namespaces() -> None:
    words = ["a.b=1", "a.c.d=x", "e=[1]", "a.b=2"]
    assert parse_inputs(words) == {"a": {"b": 2, "c": {"d": "x"}}, "e": [1]}


def test_a_port_of_strings_takes_the_text() -> None:
    spec = ProcessSpec()
    spec.input("label", valid_type=str)
    spec.input("either", valid_type=(str, int))
    spec.input("inner.label", valid_type=(str, type(None)))
    spec.input("n", valid_type=int)
    words = ["label=007", "either=3", "inner.label=null", "inner.other=1", "n=7", "unknown=4"]
    assert parse_inputs(words, spec.inputs) == {
        "label": "007", "either": 3, "inner": {"label": None, "other": 1}, "n": 7, "unknown": 4,
    }  # fmt: skip
    assert parse_inputs(['label="007"', "label=true"], spec.inputs) == {"label": "true"}


def test_a_file_gives_a_whole_mapping_and_later_words_win(tmp_path: Path) -> None:
    file = tmp_path / "in.json"
    file.write_text(json.dumps({"n": 1, "label": "über"}), encoding="utf-8")
    assert parse_inputs([f"@{file}", "n=2"]) == {"n": 2, "label": "über"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["n"], "'n' is no input"),
        (["=3"], "is no input"),
        (["a b=3"], "is no input"),
        (["a..b=3"], "is no input"),
        (["a=1", "a.b=2"], "given as a plain value"),
        (["@missing.json"], "No such file"),
    ],
)
def test_other_words_are_wrong_usage(words: list[str], sentence: str) -> None:
    with pytest.raises(WrongUsage, match=sentence):
        parse_inputs(words)


def test_an_option_is_no_input_unless_there_is_one_of_that_name() -> None:
    spec = ProcessSpec()
    with pytest.raises(WrongUsage, match="the option is --key"):
        parse_inputs(["key=3"], spec.inputs)
    spec.input("key")
    assert parse_inputs(["key=3"], spec.inputs) == {"key": 3}


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is not JSON"), ("[1]", "no mapping"), ("3", "no mapping")]
)
def test_a_file_that_holds_no_mapping_is_wrong_usage(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "in.json"
    file.write_text(text)
    with pytest.raises(WrongUsage, match=sentence):
        parse_inputs([f"@{file}"])


# What ports take


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Cell:
    a: float
    colours: list[Colour] = field(default_factory=list)
    inner: Cell | None = None


class Point(NamedTuple):
    x: int
    y: Path


class Model(pydantic.BaseModel):
    when: dt.date


class Row(TypedDict):
    path: Path


class Foreign:
    pass


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (Path, "a/b", Path("a/b")),
        (Path, "7", Path("7")),
        (PurePosixPath, "/x", PurePosixPath("/x")),
        (bool, "yes", True),
        (bool, "False", False),
        (type(None), "None", None),
        (int | None, "null", None),
        (int | None, "3", 3),
        (int, "1_000", 1000),
        (float, "nan", math.nan),
        (float, "3", 3.0),
        (complex, "1+2j", 1 + 2j),
        (bytes, "hi", b"hi"),
        (bytes, "hex:6869", b"hi"),
        (bytearray, "base64:aGk=", bytearray(b"hi")),
        (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.datetime, "2026-01-31T12:00Z", dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)),
        (dt.datetime, "2026-01-31T12:00[Europe/Zurich]",
         dt.datetime(2026, 1, 31, 12, tzinfo=ZoneInfo("Europe/Zurich"))),
        (dt.time, "12:30", dt.time(12, 30)),
        (dt.timedelta, "90", dt.timedelta(seconds=90)),
        (dt.timedelta, "1:30:00", dt.timedelta(hours=1.5)),
        (dt.timedelta, "2d 30min", dt.timedelta(days=2, minutes=30)),
        (dt.timedelta, "-1.5h", dt.timedelta(hours=-1.5)),
        (Decimal, "1.10", Decimal("1.10")),
        (Fraction, "1/3", Fraction(1, 3)),
        (UUID, "12345678123456781234567812345678", UUID("12345678123456781234567812345678")),
        (ZoneInfo, "Europe/Zurich", ZoneInfo("Europe/Zurich")),
        (range, "0:10:2", range(0, 10, 2)),
        (Colour, "RED", Colour.RED),
        (Colour, "red", Colour.RED),
        (Colour, "2", Colour.BLUE),
        (Colour, "Colour.BLUE", Colour.BLUE),
        (Right, "READ|WRITE", Right.READ | Right.WRITE),
        (Literal["a", 3], "3", 3),
        (tuple, "[1, 2]", (1, 2)),
        (tuple[int, Path], '[1, "x"]', (1, Path("x"))),
        (set, "[1, [2]]", {1, (2,)}),
        (frozenset[Colour], '["RED"]', frozenset({Colour.RED})),
        (list[dt.date], '["2026-01-31"]', [dt.date(2026, 1, 31)]),
        (dict[int, Path], '{"1": "x"}', {1: Path("x")}),
        (Counter, '{"a": 2}', Counter(a=2)),
        (dt.date | str, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.date | str, "soon", "soon"),
        ((str, int), "3", 3),
        (str | Path, "x", "x"),
        (Annotated[Path, "where"], "x", Path("x")),
        (Cell, '{"a": 1, "colours": ["RED"], "inner": {"a": 2}}', Cell(1, [Colour.RED], Cell(2))),
        (Point, '[1, "x"]', Point(1, Path("x"))),
        (Point, '{"x": 1, "y": "x"}', Point(1, Path("x"))),
        (Model, '{"when": "2026-01-31"}', Model(when=dt.date(2026, 1, 31))),
        (Row, '{"path": "x"}', {"path": Path("x")}),
        (Any, "3", 3),
        (object, "x", "x"),
        (np.float64, "1.5", np.float64(1.5)),
        (collections.abc.Sequence, "[1]", [1]),
    ],
)  # fmt: skip
def test_a_port_says_what_a_word_means(hint: Any, text: str, value: Any) -> None:
    spec = ProcessSpec()
    spec.input("inner.x", valid_type=hint)
    found = parse_inputs([f"inner.x={text}"], spec.inputs)["inner"]["x"]
    assert type(found) is type(value)
    assert found == value or found != found
    new_process(_class_with(hint), {"inner": {"x": found}}, pid=1, class_path="")


def _class_with(hint: Any) -> Any:
    def define(cls: Any, spec: Any) -> None:
        Process.define(spec)
        spec.input("inner.x", valid_type=hint)

    return type("Taking", (Process,), {"define": classmethod(define), "run": lambda self: None})


def test_arrays_are_lists_or_files(tmp_path: Path) -> None:
    spec = ProcessSpec()
    spec.input("x", valid_type=np.ndarray)
    spec.input("y", valid_type=NDArray[np.float32])
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "b.txt").write_text("1 2\n3 4\n")
    found = parse_inputs([f"x=@{tmp_path}/a.npy", "y=[[1, 2]]"], spec.inputs)
    assert found["x"].tolist() == [0, 1, 2]
    assert (found["y"].dtype, found["y"].tolist()) == (np.float32, [[1, 2]])
    assert parse_inputs([f"y=@{tmp_path}/b.txt"], spec.inputs)["y"].tolist() == [[1, 2], [3, 4]]
    np.save(tmp_path / "code.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"input 'x'.*allow_pickle"):
        parse_inputs([f"x=@{tmp_path}/code.npy"], spec.inputs)
    (tmp_path / "c.csv").write_text("not numbers")
    for name, words in (("none.npy", "cannot read '.*none.npy': No such"), ("c.csv", "no array that can be")):
        with pytest.raises(InvalidInput, match=words):
            parse_inputs([f"x=@{tmp_path}/{name}"], spec.inputs)


@pytest.mark.parametrize(
    ("hint", "text", "sentence"),
    [
        (int, "x", "it is 'x', and must be int; write a whole number"),
        (int, "true", "write a whole number"),
        (float, "x", "write a number"),
        (bool, "1", "write true or false"),
        (dt.date, "soon", "write a date: 2026-01-31"),
        (dt.datetime, "2026-01-31T12:00[Nowhere/At]", "write a date and a time"),
        (dt.timedelta, "5 weeks", "write a duration"),
        (Colour, "green", "write one of RED, BLUE"),
        (Right, "x", "write names of members"),
        (list[int], "1,2", "write a JSON list"),
        (dict, "[1]", "write a JSON object"),
        (Cell, '{"a": 1, "b": 2}', "Cell does not take it.*'b'"),
        (Model, '{"when": 3.5}', "does not take it"),
        (bytes, "hex:x", "write a text, hex:"),
        (np.ndarray, "x", "write an array as a JSON list"),
        (Foreign, "x", "a Foreign cannot be written on a command line; submit the process from Python"),
        (int | dt.date, "x", "write a whole number: 3, or write a date"),
        (Literal["a"], "b", "write one of a"),
    ],
)
def test_what_cannot_be_meant_says_what_to_write(hint: Any, text: str, sentence: str) -> None:
    spec = ProcessSpec()
    spec.input("inner.x", valid_type=hint)
    with pytest.raises(InvalidInput, match=rf"input 'inner\.x'.*{sentence}"):
        parse_inputs([f"inner.x={text}"], spec.inputs)


def test_what_stands_in_a_json_object_is_named_with_its_namespace() -> None:
    spec = ProcessSpec()
    spec.input("inner.deep.x", valid_type=int)
    with pytest.raises(
        InvalidInput, match=r"input 'inner\.deep\.x': it is \"y\", and must be int; write a whole"
    ):
        parse_inputs(['inner={"deep": {"x": "y"}}'], spec.inputs)


def test_values_of_files_and_of_dynamic_namespaces_are_meant_too(tmp_path: Path) -> None:
    spec = ProcessSpec()
    spec.input_namespace("free", dynamic=True, valid_type=Path)
    spec.input("when", valid_type=dt.date, default=None)
    file = tmp_path / "in.json"
    file.write_text('{"free": {"a": "x"}, "when": "2026-01-31"}')
    assert parse_inputs([f"@{file}", "free.b=y"], spec.inputs) == {
        "free": {"a": Path("x"), "b": Path("y")}, "when": dt.date(2026, 1, 31),
    }  # fmt: skip
    assert parse_inputs(["when=null"], spec.inputs) == {"when": None}
    with pytest.raises(InvalidInput, match=r"input 'free' has several values: write free\.name="):
        parse_inputs(["free=3"], spec.inputs)
