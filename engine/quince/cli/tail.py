"""Reading log files: their last lines, and what comes after."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from quince.cli.output import put
from quince.cli.terminal import json_text
from quince.logs import documents, text_of

Render = Callable[[Path, str], list[str]]
"""What is printed for one line of a file."""

_PAUSE = 0.2


def as_text(_file: Path, line: str) -> list[str]:
    """The line for people."""
    return [text for document in documents(line) for text in text_of(document)]


def as_json(file: Path, line: str) -> list[str]:
    """The line as JSON documents, each on one line, with the name of its log."""
    return [json_text({**document, "log": file.stem}) for document in documents(line)]


@dataclass
class Tail:
    """One file that is followed; `offset` is how far it has been read, in bytes."""

    file: Path
    offset: int = 0
    _number: int | None = None

    def fresh(self) -> list[str]:
        """The whole lines that have come since the last look; from the beginning if it was replaced."""
        try:
            stream = self.file.open("rb")
        except FileNotFoundError:
            return []
        with stream:
            status = os.fstat(stream.fileno())
            if status.st_size < self.offset or status.st_ino != self._number:
                self.offset = 0
            self._number = status.st_ino
            stream.seek(self.offset)
            text = stream.read(status.st_size - self.offset)
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return whole.decode("utf-8", errors="backslashreplace").split("\n")[:-1]


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
        for line in reversed(tail.fresh()):
            if len(shown) >= count:
                break
            shown.extendleft(reversed(render(tail.file, line)))
        for text in list(shown)[-count:] if count else []:
            put(text)
    return tails


def follow(tails: Sequence[Tail], render: Render = as_text) -> None:
    """Print what comes, for ever (Ctrl-C ends it)."""
    shown = tails[-1].file if tails else None
    while True:
        for tail in tails:
            lines = tail.fresh()
            if lines and len(tails) > 1 and tail.file != shown and render is as_text:
                _head(tail.file)
                shown = tail.file
            for line in lines:
                for text in render(tail.file, line):
                    put(text)
        time.sleep(_PAUSE)


def _head(file: Path) -> None:
    put(f"==> {file.stem} <==")
