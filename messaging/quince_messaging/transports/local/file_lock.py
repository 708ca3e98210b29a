"""Keeping writers and check-points of the task file apart, between processes.

SQLite before 3.51.3 has a rare bug when a check-point runs beside a writer. So everybody who writes
holds the gate together with the others, and a check-point holds it alone. The kernel frees the hold
of a process that dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 10.0  # seconds


class GateTimeout(Exception):
    """Somebody stood in the way for too long: a frozen process, most likely."""


class FileLock:
    """One participant's hold on the gate; two in one process count as two."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Leave, and be done with it."""
        os.close(self.descriptor)

    def try_enter(self) -> bool:
        """Enter together with other writers; False while a check-point has it alone."""
        return self._take(fcntl.LOCK_SH)

    def try_enter_alone(self) -> bool:
        """Enter if nobody else is inside."""
        return self._take(fcntl.LOCK_EX)

    def leave(self) -> None:
        """Let the others."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _take(self, how: int) -> bool:
        try:
            fcntl.flock(self.descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def insist(attempt: Callable[[], bool]) -> None:
    """Try until it succeeds. Raises GateTimeout after `PATIENCE`.

    What is waited for lasts well under a millisecond, so waiting is trying again; a blocking call
    could not be given up when the one in the way is frozen.
    """
    deadline, pause = time.monotonic() + PATIENCE, 0.0001
    while not attempt():
        if time.monotonic() > deadline:
            raise GateTimeout
        time.sleep(pause)
        pause = min(pause * 1.5, 0.002)
