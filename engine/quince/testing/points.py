"""The points at which a worker can die: before and after every commit and every message."""

from __future__ import annotations

import enum
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

CRASHED = 137
"""Exit status of a worker that died at its point, as of one that was killed by signal 9."""


class When(enum.StrEnum):
    """On which side of what happens."""

    BEFORE = "before"
    AFTER = "after"


class Point(msgspec.Struct, frozen=True):
    """One moment in the life of a worker, or of one of its step hosts.

    Attributes:
        what: What happens then, for example `commit of Family.launch`.
        when: Before or after it.
        turn: The how-manieth time that this happens, from 1.
        in_host: A step host dies there, and its worker lives on.
    """

    what: str
    when: When
    turn: int = 1
    in_host: bool = False

    def __str__(self) -> str:
        turn = "" if self.turn == 1 else f" (time {self.turn})"
        return f"{self.when} {self.what}{turn}"


class Points:
    """Counts the points as a worker passes them, and ends it at the one that was chosen.

    Args:
        fatal: Where it dies, at once and without any cleaning up; None: nowhere.

    Attributes:
        passed: All points so far, in order.
    """

    def __init__(self, fatal: Point | None = None) -> None:
        self.passed: list[Point] = []
        self._fatal = fatal
        self._turns: Counter[tuple[str, When]] = Counter()
        self._lock = threading.Lock()

    def before(self, what: str) -> None:
        """This is about to happen."""
        self._pass(what, When.BEFORE)

    def after(self, what: str) -> None:
        """This has happened, and nobody knows yet."""
        self._pass(what, When.AFTER)

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """This happens in the block."""
        self.before(what)
        yield
        self.after(what)

    def _pass(self, what: str, when: When) -> None:
        with self._lock:
            self._turns[what, when] += 1
            point = Point(what, when, self._turns[what, when])
            if point == self._fatal:
                os._exit(CRASHED)
            self.passed.append(point)
