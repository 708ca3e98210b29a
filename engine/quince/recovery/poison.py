"""Processes with which workers have died: kept apart, so that the next death shows which was the cause.

A process with few deaths begins some seconds after the last one of its kind: should the worker die, the last
one is blamed most. A prime suspect is tried alone: a death is proof only when nothing else was at work.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from quince_persistence.records import PRIME_SUSPECT, SUSPECT

ELSEWHERE_SECONDS = 1.0
"""Seconds for which a suspect is kept away at a time, for another worker to take it."""

TURNS = 3
"""How often it is kept away; then it may join others."""

GAP = 3.0
"""Seconds between two suspects that join others: should the worker die, the last one is blamed most."""

ROOM_SECONDS = 60.0
"""Seconds for which a worker takes up nothing else, so that a suspect can be tried alone."""

REST_SECONDS = 600.0
"""Seconds until it makes room again, if its other steps have taken longer."""

ALONE_SECONDS = 3600.0
"""Seconds for which a suspect is tried alone; and after which one that found no empty worker joins others."""


class Admission(enum.Enum):
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
    """Decides when suspects may begin in one worker.

    Args:
        clock: Seconds, of whatever clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[int] = set()
        self._waiting: dict[int, _Wait] = {}
        self._joined = -GAP

    def admit(self, pid: int, deaths: int, *, kept: bool, empty: bool) -> Admission:
        """How the process may begin here now; if elsewhere, it is to be offered to others for a while.

        Args:
            kept: The worker is kept for another one.
            empty: Nothing is at work in it.
        """
        if kept:
            return Admission.ELSEWHERE
        if deaths < SUSPECT:
            return Admission.BESIDE
        wait = self._waiting.setdefault(pid, _Wait(self._clock()))
        admission = self._as_prime(wait, empty) if deaths >= PRIME_SUSPECT else self._as_one_of_many(wait)
        if admission is Admission.BESIDE:
            del self._waiting[pid]
            self._running.add(pid)
        return admission

    def ended(self, pid: int) -> None:
        """It runs here no more."""
        self._running.discard(pid)

    def _as_prime(self, wait: _Wait, empty: bool) -> Admission:
        now = self._clock()
        if empty or now >= wait.made_room + REST_SECONDS:
            wait.made_room = now
            return Admission.ALONE
        return self._as_one_of_many(wait) if now >= wait.since + ALONE_SECONDS else Admission.ELSEWHERE

    def _as_one_of_many(self, wait: _Wait) -> Admission:
        now = self._clock()
        if self._running and (wait.turns < TURNS or now < self._joined + GAP):
            wait.turns += 1
            return Admission.ELSEWHERE
        self._joined = now
        return Admission.BESIDE
