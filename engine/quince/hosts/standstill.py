"""Steps stand still while it is not certain that their worker still has them.

A worker that is frozen, or that slept with its machine, may have been declared dead meanwhile; then others
run its steps. So its template lets hosts go on only while the worker gives signs of life. After a silence
everything that it has started is stopped (SIGSTOP), and goes on when the store still knows the worker; else
the worker ends it. Times are those of a clock that goes on while the machine sleeps.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

from quince.os_process import since_boot
from quince.processes.program_guard import descendants
from quince.settings import EXPIRY_SECONDS, HEARTBEAT_SECONDS

SILENCE_SECONDS = EXPIRY_SECONDS - 0.75 * HEARTBEAT_SECONDS
"""Without a sign of life for so long, steps are stopped: before others may take the worker for dead."""

LOOK_SECONDS = 1.0
"""Seconds after which a machine that has slept is found out, at the latest."""


class Standstill:
    """Stops and continues everything that this program has started.

    Attributes:
        stopped: The programs that were stopped, and are to go on.
    """

    def __init__(self) -> None:
        self.stopped: set[int] = set()
        self._until = float("inf")

    def heard(self, known: float | None) -> None:
        """A sign of life of the worker.

        Args:
            known: The store knew the worker at this time, or later. None: it lives, no more is said.
        """
        self.look()
        if not self.stopped:
            self._until = since_boot() + SILENCE_SECONDS
        elif known is not None and known > self._until:
            _signal(self.stopped & descendants().keys(), signal.SIGCONT)
            self.stopped.clear()
            self._until = since_boot() + SILENCE_SECONDS

    def look(self) -> float | None:
        """Stop everything, if there was no sign of life for too long. Returns in how many seconds this is to
        be called again; None: when there is a sign."""
        rest = self._until - since_boot()
        if rest > 0:
            return min(rest, LOOK_SECONDS) if rest < float("inf") else None
        while (
            running := {ospid for ospid, state in descendants().items() if state not in "Tt"} - self.stopped
        ):
            _signal(running, signal.SIGSTOP)
            self.stopped |= running
        return LOOK_SECONDS


def _signal(ospids: Iterable[int], number: signal.Signals) -> None:
    for ospid in ospids:
        with contextlib.suppress(OSError):
            os.kill(ospid, number)
