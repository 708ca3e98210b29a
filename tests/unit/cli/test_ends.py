"""Outputs for people: what is large or binary is named by its size."""

from __future__ import annotations

import numpy
import pytest
from rich.console import Console

from quince.cli.results import values_table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x89PNG" * 20_000, "<bytes, 80 kB>"),
        ({"figure": b"x" * 2_000_000}, "{'figure': <bytes, 2.0 MB>}"),
        ("word " * 1000, "<text, 5 kB>"),
        (numpy.zeros((100, 3)), "<ndarray float64 (100, 3)>"),
        (b"short", "b'short'"),
        ("plain text", "plain text"),
        ([1, 2.5], "[1, 2.5]"),
    ],
)
def test_a_value_is_shown(value: object, shown: str) -> None:
    console = Console(width=400, record=True, quiet=True)
    console.begin_capture()
    console.quiet = False
    console.print(values_table({"it": value}))
    said = console.end_capture()
    assert shown in said
    assert len(said) < 900
