"""What steps print is told by line, with the process that prints it."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from quince.logs import LineFormatter, current_speaker
from quince.worker.step_output import LONGEST, Lines, printed_lines, speaking

SQUARE = {"pid": 12, "class": "flows:Outer.Square"}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The records as they come: who speaks, and the line."""
    caplog.set_level(logging.INFO, "quince.stdout")
    lines: list[str] = []

    def emit(record: logging.LogRecord) -> None:
        lines.append(f"{current_speaker.get() or ''}: {record.getMessage()}")

    monkeypatch.setattr(caplog.handler, "emit", emit)  # the handler is that of all tests
    return lines


def test_lines_are_told_when_they_end_and_pieces_when_the_step_does(told: list[str]) -> None:
    with printed_lines():
        with speaking(SQUARE, str):
            print("one", end="")
            assert told == []
            print(" line\nand", end="")
            assert told == ["12 Square: one line"]
        assert told == ["12 Square: one line", "12 Square: and"]
        print("nobody\rknows")
        sys.stdout.write("x" * (LONGEST + 1))
    assert told[2:] == [": nobody", ": knows", f": {'x' * (LONGEST + 1)}"]
    assert current_speaker.get() is None


def test_those_who_speak_at_once_are_not_mixed(told: list[str]) -> None:
    async def says(pid: int) -> None:
        with speaking({"pid": pid, "class": "flows:Talker"}, str):
            for word in ("a", "b", "c"):
                print(word, end=" ")
                await asyncio.sleep(0)
            await asyncio.to_thread(print, "in a thread")

    async def everybody() -> None:
        await asyncio.gather(*(says(pid) for pid in range(5)))

    with printed_lines():
        asyncio.run(everybody())
    assert sorted(told) == [f"{pid} Talker: a b c in a thread" for pid in range(5)]


def test_many_threads_lose_nothing(told: list[str]) -> None:
    def talk(number: int) -> None:
        for _ in range(50):
            print(f"line of {number}")

    with printed_lines(), speaking({"pid": 1, "class": "Crowd"}, str), ThreadPoolExecutor(8) as threads:
        context = [contextvars.copy_context() for _ in range(8)]
        for number, one in enumerate(context):
            threads.submit(one.run, talk, number)
    assert len([line for line in told if "line of" in line]) == 400


def test_a_child_of_a_fork_can_print_whoever_held_the_lock() -> None:
    into = io.StringIO()
    stream = Lines(into, "stdout")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with stream._lock:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        stream.write("from the child\n")
        os._exit(0)
    done.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0


def test_a_handler_that_fails_is_told_once_and_below(monkeypatch: pytest.MonkeyPatch) -> None:
    below = io.StringIO()
    monkeypatch.setattr(sys, "stderr", below)

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                raise OSError("no space left")
            except OSError:
                self.handleError(record)

    log = logging.getLogger("quince.stdout")
    handler = Broken()
    log.addHandler(handler)
    monkeypatch.setattr(log, "level", logging.INFO)
    try:
        with printed_lines():
            print("a line")
    finally:
        log.removeHandler(handler)
    assert "no space left" in below.getvalue()


def test_a_line_of_the_log_says_who() -> None:
    record = logging.LogRecord("user", logging.INFO, __file__, 1, "half done", None, None)
    with speaking(SQUARE, str):
        line = LineFormatter("[%(process)d%(speaker)s] %(message)s").format(record)
    assert line == f"[{os.getpid()}, 12 Square] half done"
    assert LineFormatter("[%(process)d%(speaker)s]").format(record) == f"[{os.getpid()}]"


@pytest.mark.parametrize("attribute", ["disabled", "handlers"])
def test_what_no_log_takes_is_written_below(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    """A module of the user's has configured `logging`, which disables the loggers that were there."""
    below = io.StringIO()
    monkeypatch.setattr(sys, "stdout", below)
    log = logging.getLogger("quince.stdout")
    if attribute == "disabled":
        monkeypatch.setattr(log, "disabled", True)
    else:
        monkeypatch.setattr(log, "propagate", False)
    with printed_lines(), speaking(SQUARE, str):
        print("a line")
    assert below.getvalue() == "a line\n"


def test_the_level_of_other_loggers_hides_no_line(told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.NOTSET, "quince.stdout")
    caplog.set_level(logging.WARNING)
    caplog.handler.setLevel(logging.NOTSET)
    with printed_lines(), speaking(SQUARE, str):
        print("a line")
    assert told == ["12 Square: a line"]
