"""Reading log files: their last lines, and what comes after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quince.cli.output import put

_PAUSE = 0.2


@dataclass
class Tail:
    """One file that is followed; `offset` is how far it has been read, in bytes."""

    file: Path
    offset: int = 0

    def fresh(self) -> str:
        """The whole lines that have come since the last look; from the beginning if it was replaced."""
        try:
            size = self.file.stat().st_size
        except FileNotFoundError:
            return ""
        if size < self.offset:
            self.offset = 0
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            text = stream.read(size - self.offset)
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return whole.decode("utf-8", errors="replace")


def last_lines(files: Sequence[Path], count: int) -> list[Tail]:
    """Print the last lines of each file, under its name if there are several.

    Returns:
        The files, for `follow` to go on where this ended.
    """
    tails = [Tail(file) for file in files]
    for tail in tails:
        if len(tails) > 1:
            _head(tail.file)
        lines = _lines(tail.fresh())
        for line in lines[-count:] if count else []:
            put(line)
    return tails


def follow(tails: Sequence[Tail]) -> None:
    """Print what comes, for ever (Ctrl-C ends it)."""
    shown = tails[-1].file if tails else None
    while True:
        for tail in tails:
            text = tail.fresh()
            if text:
                if len(tails) > 1 and tail.file != shown:
                    _head(tail.file)
                    shown = tail.file
                for line in _lines(text):
                    put(line)
        time.sleep(_PAUSE)


def _head(file: Path) -> None:
    put(f"==> {file.stem} <==")


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]
