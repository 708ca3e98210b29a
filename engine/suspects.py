"""Processes with which workers have died: kept apart, so that the next death tells which was the cause."""

from __future__ import annotations

from collections.abc import Callable

SUSPECT = 2
"""Deaths of workers from which on a process keeps, for a while, from others of that kind."""

SECONDS = 1.0
"""How long one is kept away at a time, for another worker to take it."""

TURNS = 3
"""So often; then it may join others."""

GAP = 3.0
"""Seconds between two that join others: should the worker die, the last one is to blame."""


class Suspects:
    """Those of one worker.

    Args:
        clock: Seconds, of whatever clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[int] = set()
        self._turns: dict[int, int] = {}
        self._joined = -GAP

    def admit(self, pid: int, deaths: int) -> bool:
        """Whether the process may run here now; else it is to be offered to others for a while."""
        if deaths < SUSPECT:
            return True
        if self._running and not self._waited(pid):
            self._turns[pid] = self._turns.get(pid, 0) + 1
            return False
        self._turns.pop(pid, None)
        self._running.add(pid)
        return True

    def ended(self, pid: int) -> None:
        """It runs here no more."""
        self._running.discard(pid)

    def _waited(self, pid: int) -> bool:
        now = self._clock()
        if self._turns.get(pid, 0) < TURNS or now < self._joined + GAP:
            return False
        self._joined = now
        return True
