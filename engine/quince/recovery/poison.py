"""Processes with which workers have died: kept apart, so that the next death tells which was the cause.

Of those that are suspected little by little one after the other begins, so that it is the last one that is
blamed most. Who is suspected most is tried alone: it is proof only when nothing else was at work.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from quince_persistence.records import PRIME_SUSPECT, SUSPECT

SECONDS = 1.0
"""How long one is kept away at a time, for another worker to take it."""

TURNS = 3
"""So often; then it may join others."""

GAP = 3.0
"""Seconds between two that join others: should the worker die, the last one is suspected most."""

ROOM_SECONDS = 60.0
"""Seconds in which a worker takes up nothing else, so that one can be tried alone."""

REST_SECONDS = 600.0
"""Seconds until it tries that again, if its other steps have taken longer."""

ALONE_SECONDS = 3600.0
"""Seconds for which one is tried alone; and after which one that found no such worker joins others."""


class Entry(enum.Enum):
    """How a process may begin."""

    BESIDE = "beside the others"
    ALONE = "when nothing else is at work here"
    ELSEWHERE = "in another worker, or later"


@dataclass(slots=True)
class _Wait:
    since: float
    turns: int = 0
    made_room: float = float("-inf")


class Suspects:
    """Those of one worker.

    Args:
        clock: Seconds, of whatever clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[int] = set()
        self._waiting: dict[int, _Wait] = {}
        self._joined = -GAP

    def admit(self, pid: int, deaths: int, *, kept: bool, empty: bool) -> Entry:
        """How the process may begin here now; if elsewhere, it is to be offered to others for a while.

        Args:
            kept: The worker is kept for another one.
            empty: Nothing is at work in it.
        """
        if kept:
            return Entry.ELSEWHERE
        if deaths < SUSPECT:
            return Entry.BESIDE
        wait = self._waiting.setdefault(pid, _Wait(self._clock()))
        entry = self._as_prime(wait, empty) if deaths >= PRIME_SUSPECT else self._as_one_of_many(wait)
        if entry is Entry.BESIDE:
            del self._waiting[pid]
            self._running.add(pid)
        return entry

    def ended(self, pid: int) -> None:
        """It runs here no more."""
        self._running.discard(pid)

    def _as_prime(self, wait: _Wait, empty: bool) -> Entry:
        now = self._clock()
        if empty or now >= wait.made_room + REST_SECONDS:
            wait.made_room = now
            return Entry.ALONE
        return self._as_one_of_many(wait) if now >= wait.since + ALONE_SECONDS else Entry.ELSEWHERE

    def _as_one_of_many(self, wait: _Wait) -> Entry:
        now = self._clock()
        if self._running and (wait.turns < TURNS or now < self._joined + GAP):
            wait.turns += 1
            return Entry.ELSEWHERE
        self._joined = now
        return Entry.BESIDE
