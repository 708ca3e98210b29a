"""Reading files that grow: their last lines, and what comes after, also when they are begun anew."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from quince.cli.output import put
from quince.cli.terminal import json_text
from quince.logs import documents, text_of
from quince.rotation import moved, older

Render = Callable[[Path, str], list[str]]
"""What is printed for one line of a file."""

_PAUSE = 0.2
_BLOCK = 1 << 16
_AT_ONCE = 1 << 22
LONGEST = 1 << 20
"""Bytes after which a line that does not end is taken for one."""


def as_text(_file: Path, line: str) -> list[str]:
    """The line for people."""
    return [text for document in documents(line) for text in text_of(document)]


def as_json(file: Path, line: str) -> list[str]:
    """The line as JSON documents, each on one line, with the name of its log."""
    return [json_text({**document, "log": file.stem}) for document in documents(line)]


class Tail:
    """One file that is followed, from its beginning on or from its end.

    Attributes:
        file: It need not be there yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset = 0
        self._begun = b""
        self._number: int | None = None
        self._older = _number_of(older(file))

    def backwards(self) -> Iterator[str]:
        """The whole lines that are there, the last one first; then those of the files of before. `fresh` goes
        on behind them."""
        return map(_text, self._backwards())

    def _backwards(self) -> Iterator[bytes]:
        rest = b""  # the first line of a file: it may have begun in another one
        with suppress(FileNotFoundError), self.file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            self._number, self._offset = status.st_ino, status.st_size
            whole = _end_of_lines(stream, status.st_size)
            stream.seek(whole)
            self._begun = stream.read(status.st_size - whole)
            if whole:
                rest = yield from _lines_of(stream, whole - 1)
        for number in range(1, 100):
            try:
                stream = older(self.file, number).open("rb")
            except FileNotFoundError:
                break
            with stream:
                rest = yield from _lines_of(stream, os.fstat(stream.fileno()).st_size, rest)
        if rest:
            yield rest

    @property
    def begun(self) -> str:
        """The last line, which has not ended yet."""
        return _text(self._begun)

    def skip(self) -> None:
        """Leave out what is there."""
        next(self._backwards(), None)
        self._begun = b""

    def fresh(self) -> list[str]:
        """The whole lines that have come since the last look, or many of them. If the file has been begun
        anew, what stands in that of before comes first."""
        found = b""
        number = _number_of(older(self.file))
        if number != self._older:
            self._older = number
            with suppress(FileNotFoundError), older(self.file).open("rb") as stream:
                place = moved(stream, self._offset)
                stream.seek(place)
                found = (b"" if place or not self._begun else b"\n") + stream.read()
            self._offset = 0
        with suppress(FileNotFoundError), self.file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size < self._offset or status.st_ino != (self._number or status.st_ino):
                self._offset, self._begun = 0, b""
            self._number = status.st_ino
            stream.seek(self._offset)
            data = stream.read(_AT_ONCE)
            self._offset += len(data)
            found += data
        *lines, self._begun = (self._begun + found).split(b"\n")
        if len(self._begun) > LONGEST:
            lines, self._begun = [*lines, self._begun], b""
        return [_text(line) for line in lines]


def last_lines(files: Sequence[Path], count: int, render: Render = as_text) -> list[Tail]:
    """Print the last lines of each file, as text under its name if there are several.

    Returns:
        The files, for `follow` to go on where this ended.
    """
    tails = [Tail(file) for file in files]
    for tail in tails:
        if len(tails) > 1 and render is as_text:
            _head(tail.file)
        shown: deque[str] = deque()
        for line in tail.backwards():
            shown.extendleft(reversed(render(tail.file, line)))
            if len(shown) >= count:
                break
        for text in list(shown)[-count:] if count else []:
            put(text)
    return tails


def follow(tails: list[Tail], render: Render, files: Callable[[], Sequence[Path]]) -> None:
    """Print what comes, for ever (Ctrl-C ends it).

    Args:
        files: Tells which files there are: more may come.
    """
    shown = tails[-1].file if tails else None
    while True:
        came = False
        known = {tail.file for tail in tails}
        tails += [Tail(file) for file in files() if file not in known]
        for tail in tails:
            lines = tail.fresh()
            came = came or bool(lines)
            if lines and len(tails) > 1 and tail.file != shown and render is as_text:
                _head(tail.file)
                shown = tail.file
            for line in lines:
                for text in render(tail.file, line):
                    put(text)
        if not came:
            time.sleep(_PAUSE)


def _head(file: Path) -> None:
    put(f"==> {file.stem} <==")


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="backslashreplace")


def _number_of(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None


def _end_of_lines(stream: BinaryIO, end: int) -> int:
    """Where the last line begins that has not ended."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        stream.seek(begin)
        if (found := stream.read(end - begin).rfind(b"\n")) >= 0:
            return begin + found + 1
        end = begin
    return 0


def _lines_of(stream: BinaryIO, end: int, goes_on: bytes | None = None) -> Generator[bytes, None, bytes]:
    """Yields the lines that end there or before, the last one first, and returns the first one of the file.

    Args:
        goes_on: How the last of them goes on in another file.
    """
    nothing = goes_on is not None
    pieces = [goes_on or b""]
    while end > 0:
        begin = max(0, end - _BLOCK)
        stream.seek(begin)
        first, *others = stream.read(end - begin).split(b"\n")
        end = begin
        for other in reversed(others):
            line = b"".join([other, *reversed(pieces)])
            pieces = []
            if line or not nothing:
                yield line
            nothing = False
        pieces.append(first)
    return b"".join(reversed(pieces))
