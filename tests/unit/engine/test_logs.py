"""Log records carry their facts as fields; as JSON lines they go into a file and come out again."""

from __future__ import annotations

import ast
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import quince_persistence.databases.structured_log
from quince import ProcessFunction, Workspace, run
from quince.cli.tail import as_json, as_text, last_lines
from quince.errors import WorkspaceError
from quince.logs import FIELDS, FORMAT, JsonFormatter, LineFormatter, configure_logging, documents, speaking
from quince.workspace.location import Location
from quince_messaging import structured_log
from tests import flows

ROOT = Path(__file__).parents[3]
FACTS = {"pid", "class", "queue", "worker", "epoch"}
SQUARE = {"pid": 12, "class": "shapes:Square", "queue": "default", "worker": "vm:1:a", "epoch": 3}
LOG = Path("worker-1.log")


def calls_of_loggers() -> Iterator[tuple[str, ast.Call]]:
    """Every call that makes a log record, and where it stands."""
    levels = {"debug", "info", "warning", "error", "exception", "critical", "log", "warn"}
    loggers = re.compile(r"(^|\.)_?(log|logger|logging|throttled)$")
    for package in ("engine", "messaging", "persistence"):
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text()
            logs = re.search("StructuredLogger|ThrottledLog|getLogger", text)
            for node in ast.walk(ast.parse(text)) if logs else ():
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr in levels and loggers.search(ast.unparse(node.func.value)):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def test_every_log_call_carries_facts_by_their_documented_names() -> None:
    calls = {place: call for place, call in calls_of_loggers() if "ed_log.py" not in place}
    assert len(calls) > 80
    named = {
        place: {k.arg.rstrip("_") for k in call.keywords if k.arg not in (None, "exc_info", "key", "trace")}
        for place, call in calls.items()
    }
    assert {place: names - set(FIELDS) for place, names in named.items() if names - set(FIELDS)} == {}
    assert [place for place, names in named.items() if not names] == []
    assert set.union(*named.values()) | {"class", "step", "epoch"} == set(FIELDS)
    for place, call in calls.items():
        spread = any(keyword.arg is None for keyword in call.keywords)
        for text in (str(one.value) for one in call.args if isinstance(one, ast.Constant)):
            said = {*re.findall(r"%\((\w+)\)", text)}
            assert said <= named[place] | (FACTS if spread else set()), place
            assert not re.search(r"%[^(]", text), place


def test_facts_are_given_once_and_are_sentence_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    log = structured_log.StructuredLogger("test.facts")
    log.warning("50 %% of %(queue)s: %(error)r", queue="q", error=ValueError("x"), class_="shapes:Square")
    log.warning("no facts: 50 %")
    told, other = caplog.records
    assert (told.getMessage(), other.getMessage()) == ("50 % of q: ValueError('x')", "no facts: 50 %")
    assert [told.__dict__[name] for name in ("queue", "error", "class")] == [
        "q",
        "ValueError",
        "shapes:Square",
    ]
    assert told.funcName == "test_facts_are_given_once_and_are_sentence_and_fields"


def test_both_packages_log_in_the_same_way() -> None:
    assert inspect.getsource(structured_log) == inspect.getsource(quince_persistence.databases.structured_log)


def test_no_field_is_one_that_logging_has() -> None:
    assert not set(FIELDS) & {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}


def record(text: str = "half done", /, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("quince.worker", logging.WARNING, __file__, 1, text, None, info)
    made.__dict__.update(extra)
    return made


def written(*args: Any, **extra: Any) -> str:
    line = JsonFormatter({"worker": "vm:9:z"}).format(record(*args, **extra))
    assert line.isascii()
    assert "\n" not in line
    return line


def failure() -> ValueError:
    try:
        raise ValueError("no such\nthing")
    except ValueError as error:
        return error


def test_a_record_is_a_document_of_its_facts() -> None:
    (document,) = documents(written(pid=7, queue="q", count=2, energy=1.5, shape=Path("a")))
    assert datetime.fromisoformat(document.pop("time")).tzname() == "UTC"
    assert document == {
        "level": "WARNING", "logger": "quince.worker", "message": "half done", "pid": 7, "class": None,
        "step": None, "worker": "vm:9:z", "queue": "q", "count": 2, "process": os.getpid(), "in_step": False,
        "exception": None, "extra": {"energy": 1.5, "shape": "a"},
    }  # fmt: skip


def test_what_a_step_says_carries_its_process_and_step() -> None:
    with speaking(SQUARE, lambda: "area"):
        line = written(worker="vm:1:a")
    (document,) = documents(line)
    assert {name: document[name] for name in SQUARE} == SQUARE
    assert (document["step"], document["in_step"]) == ("area", True)
    assert as_text(LOG, line)[0].endswith(f" WARNING [{os.getpid()}, 12 Square] quince.worker: half done")


def test_a_step_says_nothing_in_the_name_of_another_process() -> None:
    with speaking(SQUARE, lambda: "area"):
        line = written(pid=99, count=1)
    (document,) = documents(line)
    assert (document["pid"], document["count"], document["extra"]) == (12, 1, {"pid": 99})
    assert " 12 Square] " in as_text(LOG, line)[0]


@pytest.mark.parametrize("error", [None, failure()])
@pytest.mark.parametrize(
    "text", ["half done", "two\nlines", "\x1b[2Jgone \u202e \x00 \udc80 é", "x" * 300_000]
)
@pytest.mark.parametrize("spoken", [True, False])
def test_text_is_the_same_by_way_of_json(text: str, error: BaseException | None, spoken: bool) -> None:
    made = record(text, error)
    if spoken:
        with speaking(SQUARE, str):
            straight, line = LineFormatter(FORMAT).format(made), JsonFormatter().format(made)
    else:
        straight, line = LineFormatter(FORMAT).format(made), JsonFormatter().format(made)
    assert as_text(LOG, line) == straight.split("\n")
    assert json.loads(as_json(LOG, line)[0])["message"] == text


def test_passwords_are_hidden_wherever_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    url = "amqp://me:secret@host/"
    line = written(f"at {url}", OSError(url), broker=url, mine={"deep": [url]}, odd=Path("x"))
    shown = [
        line,
        *as_text(LOG, line),
        *as_json(LOG, line),
        *as_text(LOG, f"raw {url}"),
        *as_json(LOG, f"raw {url}"),
    ]
    assert [text for text in shown if "secret" in text] == []


@pytest.mark.parametrize(
    "line",
    [
        "", "Segmentation fault (core dumped)", "\x00\x01", '{"time":', '{"time":"yesterday","level":"INFO"}',
        '{"time":"' * 500, "[" * 100_000, '{"time":"2026-01-01T00:00:00+00:00","level":"INFO","logger":"x"}',
        '{"time":"2026-01-01","level":"I","logger":"x","message":"m","process":"?","in_step":0,"exception":null}',
        "2026-11-28 20:00:00,123 UTC INFO    [1] quince.worker: of yesterday", '"time"', "null",
    ],
)  # fmt: skip
def test_what_is_no_record_is_a_raw_line(line: str) -> None:
    assert as_text(LOG, line) == [line]
    (document,) = map(json.loads, as_json(LOG, line))
    assert (document["message"], document["level"], document["log"]) == (line, None, "worker-1")


def test_a_record_that_somebody_else_has_written_is_shown_like_ours() -> None:
    line = (
        '{"time":"2026-01-01T00:00:00Z","level":"INFO","logger":"x","message":"amqp://u:secret@h/",'
        '"process":1,"in_step":false,"exception":null}'
    )
    (document,) = documents(line)
    assert (document["message"], document["pid"]) == ("amqp://u:***@h/", None)


def test_what_is_written_between_records_is_told_from_them() -> None:
    whole, other = written("whole"), written("other")
    torn = whole[:-9]
    told = list(documents(f"10 % 20 %{whole}{torn}{other}done"))
    assert [document["message"] for document in told] == ["10 % 20 %", "whole", torn, "other", "done"]
    assert [document["level"] is None for document in told] == [True, False, True, False, True]


def test_bytes_of_every_kind_come_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "worker-1.log"
    log.write_bytes(
        b"\xff\xfe\0raw\x1b[2J\n" + written("a\nb").encode() + b"\n" + b"y" * 1_000_000 + b"\nunfin"
    )
    last_lines([log], 3, as_json)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["message"] for line in lines] == [
        "\\xff\\xfe\0raw\x1b[2J",
        "a\nb",
        "y" * 1_000_000,
    ]
    assert "\x1b" not in "".join(lines)
    last_lines([log], 3)
    shown = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[2] for line in shown] == ["a", "b", "y" * 1_000_000]


def test_facts_that_cannot_be_told_do_no_harm() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    line = written(
        mine=Odd(),
        huge=10**9999,
        far=float("nan"),
        much={"a": {"b": {"c": {"d": {"e": 1}}}}},
        keys={1: b"\xff"},
    )
    (document,) = documents(line)
    assert document["extra"]["mine"] == "(Odd)"
    assert document["extra"]["huge"] == "(int)"
    assert document["extra"]["far"] == "nan"
    assert document["extra"]["keys"] == {"1": "b'\\xff'"}


def test_the_logger_of_a_process_tells_every_handler_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = tmp_path / ".quince"
    location = Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
    with Workspace(location) as home:
        run(flows.Reporter, lines=1, workspace=home)
    (told,) = (one.__dict__ for one in caplog.records if one.name == "quince.process.Reporter")
    (row,) = ([told[name] for name in ("pid", "class", "step")],)
    assert row == [1, "tests.flows:Reporter", "say"]
    assert told["worker"].split(":")[1] == str(os.getpid())


@pytest.mark.parametrize("function", [flows.add, flows.slow_add])
def test_the_step_of_a_function_is_called_run(function: ProcessFunction[..., Any, Any]) -> None:
    assert function.process_class.run.__name__ == "run"


def test_a_foreground_worker_chooses_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setenv("QUINCE_LOG_FORMAT", "xml")
    with pytest.raises(WorkspaceError, match=r"QUINCE_LOG_FORMAT is 'xml'; it may be `text` or `json`"):
        configure_logging()
    monkeypatch.setenv("QUINCE_LOG_FORMAT", "json")
    configure_logging(worker="vm:1:a")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    assert json.loads(handler.format(record()))["worker"] == "vm:1:a"
