"""Durations as users write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy
import pytest

from quince.moments import LONGEST, seconds_of
from quince.processes.limits import rate_of, said_of_rate


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (10, 10.0), (0, 0.0), (0.25, 0.25), ("10", 10.0), ("10 s", 10.0), ("2h", 7200.0), ("90 min", 5400.0),
        ("1 d 6 h", 108_000.0), ("1d6h", 108_000.0), ("1.5 hours", 5400.0), ("1 day, 2 minutes", 86_520.0),
        ("250 ms", 0.25), ("2 Weeks", 1_209_600.0), (" 3 m ", 180.0), ("1:30:00", 5400.0), ("0:00:01.5", 1.5),
        (timedelta(hours=1), 3600.0), (numpy.float32(2), 2.0), (numpy.int64(7), 7.0), (LONGEST, LONGEST),
    ],
)  # fmt: skip
def test_durations(given: Any, seconds: float) -> None:
    assert seconds_of(given) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "given",
    [
        -1, "-1 s", float("nan"), "nan", "", " ", "s", "1 x", "1 h 2", "2 h and", True, None, [1], b"1 s",
        timedelta(seconds=-1), "1e3 s", "١ s", numpy.array([1, 2]), "5 \ud800", "h" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_in_a_sentence(given: Any) -> None:
    with pytest.raises(
        ValueError, match='is no duration: write a number of seconds, or a text with units such as "10 s"'
    ):
        seconds_of(given)


@pytest.mark.parametrize("given", [10**400, float("inf"), "40000 d", "9" * 30, timedelta.max])
def test_what_is_longer_than_a_hundred_years_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="is too long: a hundred years is the longest duration"):
        seconds_of(given)


@pytest.mark.parametrize("rate", ["30/min", "2/s", "100/1 h 40 min", "1000/0.001 s", "7/1 d 6 h", "1/2.5 s"])
def test_a_rate_is_said_as_it_was_written(rate: str) -> None:
    assert said_of_rate(*rate_of(rate)) == rate
