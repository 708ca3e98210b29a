"""Files that grow are read from their end, and followed over being begun anew."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from quince.cli import tail as tail_module
from quince.cli.tail import Tail, as_text, follow, last_lines
from quince.rotation import older, rotate


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker-1.log"


def add(log: Path, *lines: str) -> None:
    with log.open("ab", buffering=0) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())


def test_lines_come_backwards_however_they_lie_on_blocks(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["x", "", "é" * 5, "x", "", "a longer line", "z" * 50, "last"]
    for size in range(1, 40):
        monkeypatch.setattr(tail_module, "_BLOCK", size)
        log.write_text("\n".join(lines) + "\nbegun")
        tail = Tail(log)
        assert list(tail.backwards()) == lines[::-1]
        assert tail.begun == "begun"
        assert tail.fresh() == []
        add(log, "; ended", "next")
        assert tail.fresh() == ["begun; ended", "next"]


def test_a_log_of_600_megabytes_is_read_at_once(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.open("wb") as stream:
        stream.truncate(600_000_000)
        stream.seek(0, 2)
        stream.write(b"\nlast but one\nlast\n")
    began = time.process_time()
    last_lines([log], 2)
    assert time.process_time() - began < 0.1
    assert capsys.readouterr().out == "last but one\nlast\n"


def test_lines_of_before_are_shown_too(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        add(log, f"line {number}")
        if number % 3 == 2:
            assert rotate(log, 20, kept=3)
    add(log, "now")
    last_lines([log], 5)
    assert capsys.readouterr().out.split("\n") == ["line 8", "line 9", "line 10", "line 11", "now", ""]
    assert not older(log, 4).exists()


def test_who_follows_misses_nothing_when_a_log_is_begun_anew(log: Path) -> None:
    add(log, "one")
    tail = Tail(log)
    assert list(tail.backwards()) == ["one"]
    with log.open("ab", buffering=0) as stream:  # as a worker has it
        stream.write(b"two\nthr")
        assert tail.fresh() == ["two"]
        stream.write(b"ee\nfour\n")
        assert rotate(log, 10)
        stream.write(b"five\n")
        assert tail.fresh() == ["three", "four", "five"]
        stream.write(b"si")
        assert tail.fresh() == []
        stream.write(b"x\nseven\neight\n")
        assert rotate(log, 6)
        note = "=== 15 bytes that stood here are dropped ==="
        assert older(log).read_text() == f"{note}\neight\n"
        stream.write(b"nine\n")
        assert tail.fresh() == ["si", note, "eight", "nine"]
        assert rotate(log, 4)
        stream.write(b"six, longer than all that was there\n")
        assert tail.fresh()[-1:] == ["six, longer than all that was there"]


def test_a_file_that_comes_later_or_is_replaced_is_read_from_its_beginning(log: Path) -> None:
    tail = Tail(log)
    assert tail.fresh() == []
    add(log, "one", "two")
    assert tail.fresh() == ["one", "two"]
    log.rename(log.with_name("moved"))
    add(log, "three", "four", "five")
    assert tail.fresh() == ["three", "four", "five"]


def test_logs_of_workers_that_come_later_are_followed(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(log, "old")
    later = log.with_name("worker-2.log")
    rounds = itertools.count()

    def pause(_seconds: float) -> None:
        if next(rounds):
            raise KeyboardInterrupt
        add(log, "new")
        add(later, "first", "second")

    monkeypatch.setattr("quince.cli.tail.time.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        follow(last_lines([log], 5), as_text, lambda: sorted(log.parent.glob("*.log")))
    assert capsys.readouterr().out.split("\n") == [
        "old", "new", "==> worker-2 <==", "first", "second", "",
    ]  # fmt: skip
