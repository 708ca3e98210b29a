"""A filter as the words of a command line, the query of an address, and one line of text."""

from __future__ import annotations

import random
import shlex

import pytest

from quince.errors import InvalidFilter
from quince.monitor.filters import WORDS, Filter

ODD = ["a b", "x=y&z", "'", '"q"', "ü→", "--state", "%", "", "running,waiting", "a\tb"]


def some(chance: random.Random) -> Filter:
    """Any filter that can be written."""
    given: dict[str, object] = {}
    for field, word in WORDS.items():
        if chance.random() < 0.4:
            values = [value for value in chance.sample(ODD, 2) if value]
            listed = field in ("pids", "states", "classes", "labels", "exits")
            given[field] = True if word.metavar is None else values if listed else values[0]
    return Filter(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(50))
def test_a_query_means_the_same_filter(seed: int) -> None:
    chosen = some(random.Random(seed))
    assert Filter.from_query(chosen.query()) == chosen
    assert Filter.from_query("page=3&x=&" + chosen.query()) == chosen


def test_the_words_of_a_command_line_mean_the_same() -> None:
    chosen = Filter(states=["running", "paused"], labels=["study=argon"], failed=True, text="a b", since="2h")
    assert shlex.split(chosen.words()) == [
        "--state", "running", "--state", "paused", "--label", "study=argon", "--failed", "--text", "a b",
        "--since", "2h",
    ]  # fmt: skip
    assert Filter.from_words(chosen.words()) == chosen


def test_a_line_as_it_is_typed() -> None:
    assert Filter.from_words("") == Filter.from_words("   ") == Filter()
    assert Filter.from_words("relax argon") == Filter(text="relax argon")
    assert Filter.from_words("12 13") == Filter(pids=["12", "13"])
    assert Filter.from_words("state=running class=Relax argon") == Filter(
        states=["running"], classes=["Relax"], text="argon"
    )
    assert Filter.from_words("failed") == Filter(text="failed")
    assert Filter.from_words("--failed") == Filter.from_words("failed=1") == Filter(failed=True)
    assert Filter.from_words("x=1 'unfinished") == Filter(text="x=1 'unfinished")
    with pytest.raises(InvalidFilter, match="--state wants STATE after it"):
        Filter.from_words("--state")


def test_a_view_can_be_changed() -> None:
    chosen = Filter(states=["running"], text="x")
    assert Filter.from_query(chosen.query(states=["failed"], text=None)) == Filter(states=["failed"])
