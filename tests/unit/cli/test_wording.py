"""States, ages and documents, for people and programs."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import numpy
import pytest

from quince.cli.documents import plain, row_document
from quince.cli.formatting import exit_cell, exit_text, state_text, style_of
from quince.cli.terminal import Text
from quince.moments import iso, span
from quince.monitor.words import actual_state, doing
from quince.processes.child import ChildProcess
from quince_persistence.records import Control, State
from tests.unit.cli.rows import row


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.CREATED),
        ({"owner": "w"}, State.RUNNING),
        ({"state": State.WAITING, "owner": "w", "awaiting": 0}, State.RUNNING),
        ({"state": State.WAITING, "owner": "w", "awaiting": 2}, State.WAITING),
        ({"state": State.WAITING, "awaiting": 0}, State.WAITING),
        ({"state": State.FINISHED}, State.FINISHED),
    ],
)
def test_a_process_that_a_worker_holds_and_that_waits_for_nothing_runs(
    changes: dict[str, Any], state: State
) -> None:
    assert actual_state(row(**changes)) is state
    assert row_document(row(**changes))["state"] == state.value


def test_paused_and_failed_have_looks_of_their_own() -> None:
    looks = {
        style_of(row(state=State.FINISHED, exit_status=0)),
        style_of(row(state=State.FINISHED, exit_status=410)),
        style_of(row(state=State.WAITING)),
        style_of(row(state=State.WAITING, paused=True)),
        style_of(row(state=State.EXCEPTED)),
        style_of(row(state=State.KILLED)),
    }
    assert len(looks) == 6
    assert state_text(row(state=State.WAITING, paused=True)).plain.endswith("paused (waiting)")


def test_a_control_under_way_is_told() -> None:
    assert state_text(row(owner="w", intent=Control.PAUSE)).plain.endswith("running → pausing")


def test_what_a_process_is_doing() -> None:
    waiting = row(state=State.WAITING, step="collect", status="half way", awaiting=3)
    assert doing(waiting) == "collect · half way · waits for 3"
    assert doing(row(state=State.WAITING, awaiting=1, due=5.0)) == "until its timer"
    assert doing(row(state=State.FINISHED, step="collect")) == ""
    assert doing(row(state=State.KILLED, status="no need", exit_message="no need")) == ""
    assert doing(waiting, status=False) == "collect · waits for 3"


def test_exit_status_and_message() -> None:
    assert exit_text(row()).plain == ""
    assert exit_text(row(exit_status=0)).plain == "0"
    assert exit_text(row(exit_status=410, exit_message="too\nsmall")).plain == "410 too small"
    assert exit_text(row(exit_message="ValueError: x")).plain == "ValueError: x"


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({}, ""),
        ({"exit_status": 0}, "0"),
        ({"exit_status": 410, "exit_message": "too small"}, "410 too small"),
        ({"exit_message": "sqlalchemy.exc.OperationalError: gone: a.b"}, "!OperationalError: gone: a.b"),
        ({"exit_message": "ValueError: see x.y: z"}, "!ValueError: see x.y: z"),
        ({"exit_message": "no need"}, "!no need"),
        ({"exit_status": 1, "exit_message": "x" * 90}, f"1 {'x' * 57}…"),
    ],
)
def test_an_exit_in_a_table(changes: dict[str, Any], cell: str) -> None:
    assert exit_cell(row(**changes)).plain == cell


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (7200, "2 h"),
        (47 * 3600, "47 h"),
        (86400 * 3, "3 d"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_times_are_iso_in_utc() -> None:
    assert iso(0.0) == "1970-01-01T00:00:00.000Z"
    assert iso(None) is None


def test_a_document_has_the_promised_fields() -> None:
    promised = (
        "pid parent class state paused status exit_status exit_message queue priority worker created "
        "updated ended"
    )
    assert set(promised.split()) <= set(row_document(row()))


def test_whatever_can_be_stored_has_a_json_form() -> None:
    value = {
        "tuple": (1, 2.5, None, True),
        "set": {"b", "a"},
        "bytes": b"\x00\xff",
        "nan": float("nan"),
        "date": date(2030, 1, 31),
        "delta": timedelta(seconds=1.5),
        "decimal": Decimal("1.10"),
        "complex": 1 + 2j,
        "path": PurePosixPath("a/b"),
        "array": numpy.arange(4.0).reshape(2, 2),
        "scalar": numpy.float64(2.5),
        "child": ChildProcess(7, "m:C"),
        3: "a key that is no string",
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "tuple": [1, 2.5, None, True],
        "set": ["a", "b"],
        "bytes": "AP8=",
        "nan": "nan",
        "date": "2030-01-31",
        "delta": 1.5,
        "decimal": "1.10",
        "complex": "(1+2j)",
        "path": "a/b",
        "array": [[0.0, 1.0], [2.0, 3.0]],
        "scalar": 2.5,
        "child": {"pid": 7, "class": "m:C"},
        "3": "a key that is no string",
    }


def test_what_a_process_says_moves_no_cursor() -> None:
    ended = row(state=State.EXCEPTED, exit_message="ValueError: \x1b[31mred\x07", ended=1.0)
    assert exit_text(ended).plain == "ValueError: \\x1b[31mred\\x07"
    assert Text(doing(row(status="\x1b[2J"))).plain == "\\x1b[2J"
