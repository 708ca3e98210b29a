"""Keeping writers and check-points of the task file apart, between processes.

SQLite before 3.51.3 has a rare bug when a check-point runs beside a writer. So writers share a lock
(`tasks.gate`), and a check-point has it alone. The kernel frees the lock of a process that dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 10.0  # seconds


class LockTimeout(Exception):
    """The lock was not free in time: most likely its holder is a frozen process."""


class FileLock:
    """One participant's hold on a lock; two in one process count as two."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Unlock, and close the file."""
        os.close(self.descriptor)

    def try_shared(self) -> bool:
        """Take it together with other writers; False while a check-point has it alone."""
        return self._take(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take it alone; False while anybody else has it."""
        return self._take(fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Give it up; it can be taken again."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _take(self, how: int) -> bool:
        try:
            fcntl.flock(self.descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def try_until_locked(attempt: Callable[[], bool]) -> None:
    """Try to lock until it succeeds.

    Locks are held for well under a millisecond, so waiting is trying again; a blocking call could not be
    given up when the holder is frozen.

    Raises:
        LockTimeout: it has not succeeded within `PATIENCE`.
    """
    deadline, pause = time.monotonic() + PATIENCE, 0.0001
    while not attempt():
        if time.monotonic() > deadline:
            raise LockTimeout
        time.sleep(pause)
        pause = min(pause * 1.5, 0.002)
