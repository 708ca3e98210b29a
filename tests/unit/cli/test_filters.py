"""The filter set, from words to a selection."""

from __future__ import annotations

import inspect
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from quince.cli.filters import Filter, with_options
from quince.errors import InvalidFilter, ProcessNotFound
from quince.monitor.filters import parse_time
from quince_persistence.records import TERMINAL, Selection, State


class _Home:
    """A workspace with two processes: 1, whose key is `dawn`, and 2, whose key is `7`."""

    keys: ClassVar = {"dawn": 1, "7": 2, "1": 2}
    location: ClassVar = SimpleNamespace(folder=Path("/"))

    @property
    def store(self) -> _Home:
        return self

    def get(self, pid: int) -> object | None:
        return SimpleNamespace(pid=pid) if pid in (1, 2, 3, 9) else None

    def find_key(self, key: str) -> object | None:
        return SimpleNamespace(pid=self.keys[key]) if key in self.keys else None

    def no_key(self, key: str) -> ProcessNotFound:
        return ProcessNotFound(f"no process has the key {key!r}")


HOME: Any = _Home()


def chosen(**words: Any) -> Filter:
    nothing = {"pids": None, "states": None, "classes": None, "parent": None, "since": None}
    nothing |= {"older": None, "queue": None, "labels": None, "exits": None, "text": None}
    return Filter(**{**nothing, "tree": False, "everything": False, **words})


def test_nothing_said_is_empty_and_selects_without_a_filter() -> None:
    assert chosen().empty
    assert chosen().selection(HOME) == Selection()
    for words in ({"pids": ["1"]}, {"states": ["waiting"]}, {"everything": True}, {"parent": "3"}):
        assert not chosen(**words).empty


def test_each_word_has_its_field() -> None:
    selection = chosen(
        pids=["3", "1", "3"], states=["waiting,created", "Running"], classes=["A,b.c:D"], parent="9"
    ).selection(HOME, limit=5)
    assert selection == Selection(
        pids=(3, 1),
        states=(State.WAITING, State.CREATED, State.RUNNING),
        classes=("A", "b.c:D", "b/c.py:D"),
        parent=9,
        limit=5,
    )


def test_a_tree_is_chosen_by_its_roots() -> None:
    assert chosen(pids=["3"], tree=True).selection(HOME) == Selection(trees=(3,))
    with pytest.raises(InvalidFilter, match="--tree wants pids"):
        chosen(tree=True).selection(HOME)


def test_a_queue_and_an_age_are_chosen() -> None:
    before = time.time() - 3600
    selection = chosen(queue="far", older="1h").selection(HOME)
    assert selection == Selection(queue="far", until=selection.until)
    assert before <= (selection.until or 0) <= time.time() - 3600
    assert not chosen(queue="far").empty
    assert chosen(older="1h").narrowed


def test_how_they_ended_and_what_they_are_called() -> None:
    selection = chosen(
        labels=["study=argon", "tried", "note=a=b", "empty="], exits=["410,-1", "3"]
    ).selection(HOME)
    assert selection.labels == (("study", "argon"), ("tried", None), ("note", "a=b"), ("empty", ""))
    assert selection.exits == (410, -1, 3)
    assert chosen(failed=True, text="singular").selection(HOME) == Selection(failed=True, text="singular")
    for words in (
        {"failed": True},
        {"text": ""},
        {"labels": ["a=b"]},
        {"exits": ["0"]},
        {"ended_since": "1h"},
    ):
        assert chosen(**words).narrowed


@pytest.mark.parametrize(
    ("word", "pid"), [("dawn", 1), ("1", 1), ("key:1", 2), ("7", 2), ("key:7", 2), ("8", 8), ("key:dawn", 1)]
)
def test_a_number_is_a_pid_if_there_is_one_and_else_a_key(word: str, pid: int) -> None:
    assert chosen(pids=[word]).selection(HOME).pids == (pid,)


@pytest.mark.parametrize("word", ["x", "-1", "1.5", "key:8", "", "a\0b", "\ud800"])
def test_a_word_that_is_neither_is_no_key(word: str) -> None:
    with pytest.raises(ProcessNotFound, match="no process has the key"):
        chosen(pids=[word]).selection(HOME)


def test_words_beside_the_states() -> None:
    assert chosen(states=["paused"]).selection(HOME) == Selection(paused=True)
    assert chosen(states=["live"]).selection(HOME) == Selection(live=True)
    assert set(chosen(states=["ended"]).selection(HOME).states) == TERMINAL


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"pids": ["9" * 30]}, "is no pid"),
        ({"exits": ["4.5"]}, "'4.5' is no exit status"),
        ({"exits": ["410,"]}, "'' is no exit status"),
        ({"labels": ["=argon"]}, "is no label"),
        ({"ended_since": "5"}, "--ended-since '5' is no time"),
        ({"states": ["sleeping"]}, "'sleeping' is no state: created, running"),
        ({"since": "lately"}, "is no time"),
        ({"older": "old"}, "--older-than 'old' is no time"),
        ({"pids": ["1"], "everything": True}, "contradict"),
    ],
)
def test_words_that_mean_nothing_are_wrong_usage(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidFilter, match=sentence):
        chosen(**words).selection(HOME)


@pytest.mark.parametrize(("text", "ago"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129600)])
def test_since_a_while_ago(text: str, ago: float) -> None:
    assert parse_time(text, 1_000_000.0) == 1_000_000.0 - ago


def test_since_a_day() -> None:
    noon = datetime(2030, 1, 31, 12).timestamp()
    assert parse_time("Today", noon) == datetime(2030, 1, 31).timestamp()
    assert parse_time("yesterday", noon) == datetime(2030, 1, 30).timestamp()


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
        "labels",
        "failed",
        "exits",
        "text",
        "since",
        "ended_since",
        "older",
        "queue",
        "everything",
        "limit",
    ]
    words: dict[str, Any] = dict.fromkeys(names)
    assert wrapped(**{**words, "pids": ["1", "2"], "limit": 40}) == 42
