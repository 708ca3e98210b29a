"""The filter set, from words to a selection."""

from __future__ import annotations

import inspect
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from quince.cli.errors import WrongUsage
from quince.cli.filters import Filter, parse_time, with_options
from quince_persistence.records import TERMINAL, Selection, State


def chosen(**words: Any) -> Filter:
    nothing = {"pids": None, "states": None, "classes": None, "parent": None, "since": None}
    nothing |= {"older": None, "queue": None}
    return Filter(**{**nothing, "tree": False, "everything": False, **words})


def test_nothing_said_is_empty_and_selects_without_a_filter() -> None:
    assert chosen().empty
    assert chosen().selection() == Selection()
    for words in ({"pids": ["1"]}, {"states": ["waiting"]}, {"everything": True}, {"parent": "3"}):
        assert not chosen(**words).empty


def test_each_word_has_its_field() -> None:
    selection = chosen(
        pids=["3", "1", "3"], states=["waiting,created", "Running"], classes=["A,b.c:D"], parent="9"
    ).selection(limit=5)
    assert selection == Selection(
        pids=(3, 1),
        states=(State.WAITING, State.CREATED, State.RUNNING),
        classes=("A", "b.c:D"),
        parent=9,
        limit=5,
    )


def test_a_tree_is_chosen_by_its_roots() -> None:
    assert chosen(pids=["3"], tree=True).selection() == Selection(trees=(3,))
    with pytest.raises(WrongUsage, match="--tree wants pids"):
        chosen(tree=True).selection()


def test_a_queue_and_an_age_are_chosen() -> None:
    before = time.time() - 3600
    selection = chosen(queue="far", older="1h").selection()
    assert selection == Selection(queue="far", until=selection.until)
    assert before <= (selection.until or 0) <= time.time() - 3600
    assert not chosen(queue="far").empty
    assert chosen(older="1h").narrowed


def test_words_beside_the_states() -> None:
    assert chosen(states=["paused"]).selection() == Selection(paused=True)
    assert chosen(states=["live"]).selection() == Selection(live=True)
    assert set(chosen(states=["ended"]).selection().states) == TERMINAL


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"pids": ["x"]}, "'x' is no pid"),
        ({"pids": ["-1"]}, "is no pid"),
        ({"pids": ["9" * 30]}, "is no pid"),
        ({"parent": "1.5"}, "is no pid"),
        ({"states": ["sleeping"]}, "'sleeping' is no state: created, running"),
        ({"since": "yesterday"}, "is no time"),
        ({"older": "old"}, "--older-than 'old' is no time"),
        ({"pids": ["1"], "everything": True}, "contradict"),
    ],
)
def test_words_that_mean_nothing_are_wrong_usage(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WrongUsage, match=sentence):
        chosen(**words).selection()


@pytest.mark.parametrize(("text", "ago"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129600)])
def test_since_a_while_ago(text: str, ago: float) -> None:
    assert parse_time(text, 1_000_000.0) == 1_000_000.0 - ago


def test_since_a_date() -> None:
    assert parse_time("2030-01-31T12:00+00:00", 0.0) == datetime(2030, 1, 31, 12, tzinfo=UTC).timestamp()
    assert parse_time("2030-01-31", 0.0) == datetime(2030, 1, 31).astimezone().timestamp()


def test_a_filtered_command_takes_the_filter_set_and_its_own_options() -> None:
    def command(chosen: Filter, limit: int | None = None) -> int:
        return (limit or 0) + len(chosen.pids or ())

    wrapped = with_options(command)
    names = list(inspect.signature(wrapped).parameters)
    assert names == [
        "pids",
        "states",
        "classes",
        "parent",
        "tree",
        "since",
        "older",
        "queue",
        "everything",
        "limit",
    ]
    words: dict[str, Any] = dict.fromkeys(names)
    assert wrapped(**{**words, "pids": ["1", "2"], "limit": 40}) == 42
