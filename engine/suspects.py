"""Processes with which workers have died: kept apart, so that the next death tells which was the cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from persistence.records import MAX_DEATHS, SUSPECT

SECONDS = 1.0
"""How long one is kept away at a time, for another worker to take it."""

TURNS = 3
"""So often; then it may join others."""

GAP = 3.0
"""Seconds between two that join others: should the worker die, the last one is suspected most."""

ALONE = 3600.0
"""Seconds for which a process that has but one death left is tried without others of its kind."""


@dataclass(frozen=True, slots=True)
class _Trial:
    began: float
    last: bool


class Suspects:
    """Those of one worker.

    Args:
        clock: Seconds, of whatever clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: dict[int, _Trial] = {}
        self._waiting: dict[int, tuple[float, int]] = {}
        self._joined = -GAP

    def admit(self, pid: int, deaths: int) -> bool:
        """Whether the process may run here now; else it is to be offered to others for a while."""
        if deaths < SUSPECT:
            return True
        last = deaths >= MAX_DEATHS - 1
        now = self._clock()
        if self._running and not self._may_join(pid, now, last=last):
            since, turns = self._waiting.get(pid, (now, 0))
            self._waiting[pid] = since, turns + 1
            return False
        self._waiting.pop(pid, None)
        self._running[pid] = _Trial(now, last)
        return True

    def ended(self, pid: int) -> None:
        """It runs here no more."""
        self._running.pop(pid, None)

    def _may_join(self, pid: int, now: float, *, last: bool) -> bool:
        since, turns = self._waiting.get(pid, (now, 0))
        alone = any(trial.last and now < trial.began + ALONE for trial in self._running.values())
        if turns < TURNS or now < self._joined + GAP or alone or (last and now < since + ALONE):
            return False
        self._joined = now
        return True
