"""Inputs from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.trouble import WrongUsage
from engine.cli.values import parse_inputs, parse_value
from engine.spec import ProcessSpec


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
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_names_with_dots_go_into_namespaces() -> None:
    words = ["a.b=1", "a.c.d=x", "e=[1]", "a.b=2"]
    assert parse_inputs(words) == {"a": {"b": 2, "c": {"d": "x"}}, "e": [1]}


def test_a_port_of_strings_takes_the_text() -> None:
    spec = ProcessSpec()
    spec.input("label", valid_type=str)
    spec.input("either", valid_type=(str, int))
    spec.input("inner.label", valid_type=(str, type(None)))
    spec.input("n", valid_type=int)
    words = ["label=007", "either=3", "inner.label=null", "inner.other=1", "n=x", "unknown=4"]
    assert parse_inputs(words, spec.inputs) == {
        "label": "007", "either": 3, "inner": {"label": None, "other": 1}, "n": "x", "unknown": 4,
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
        (["key=3"], "the option is --key"),
        (["a=1", "a.b=2"], "given as a plain value"),
        (["@missing.json"], "No such file"),
    ],
)
def test_other_words_are_wrong_usage(words: list[str], sentence: str) -> None:
    with pytest.raises(WrongUsage, match=sentence):
        parse_inputs(words)


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is not JSON"), ("[1]", "no mapping"), ("3", "no mapping")]
)
def test_a_file_that_holds_no_mapping_is_wrong_usage(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "in.json"
    file.write_text(text)
    with pytest.raises(WrongUsage, match=sentence):
        parse_inputs([f"@{file}"])
