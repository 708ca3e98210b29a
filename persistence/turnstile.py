"""Taking turns between the programs that write to one SQLite file.

SQLite keeps writers apart, but does not queue them: one that waits only tries again now and then, and
one that has much to write is always there first. Two locks make a queue: whoever wants to write takes
the gate, waits inside it for the turn, and opens the gate again with the turn in hand. So the one that
has just written stands behind the one that waits.

The turnstile is a courtesy: what it does not give in time is written without it, and SQLite's own lock
decides. The kernel frees the locks of a program that dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMPATIENCE = 2.0
"""Seconds after which one writes without the turn (its holder is frozen, or writes at great length)."""

TRUCE = 30.0
"""Seconds without turns after that."""

_FIRST_PAUSE = 0.00005
_LONGEST_PAUSE = 0.0005


class Turnstile:
    """The turns at one file. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gate = self._turn = -1
        self._without_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn, if it comes in time."""
        if not self._take():
            yield
            return
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give everything back."""
        for file in (self._gate, self._turn):
            if file >= 0:
                os.close(file)
        self._gate = self._turn = -1

    def _take(self) -> bool:
        if time.monotonic() < self._without_until or (self._gate < 0 and not self._open()):
            return False
        until = time.monotonic() + IMPATIENCE
        if not _lock(self._gate, until):
            return self._lose_patience()
        try:
            return _lock(self._turn, until) or self._lose_patience()
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _lose_patience(self) -> bool:
        self._without_until = time.monotonic() + TRUCE
        return False

    def _open(self) -> bool:
        try:
            self._gate, self._turn = (
                os.open(f"{self._path}-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                for name in ("gate", "turn")
            )
        except OSError:  # a folder in which no file can be made; the store will say so itself
            return self._lose_patience()
        return True


def _lock(file: int, until: float) -> bool:
    """Lock a file, tried often: `flock` itself knows no time limit."""
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
        else:
            return True
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
