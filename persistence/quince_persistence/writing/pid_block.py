"""Fresh pids, taken from the database in blocks: so a caller knows a child's pid before the commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from quince_persistence.errors import StoreUnavailable

_LARGEST = 1_000


class PidBlock:
    """The private block of one store. May be used from any thread.

    The first blocks are as small as what is asked for, so that a program that submits one process leaves no
    gap; they grow with what is used.

    Args:
        take: Takes so many from the database, waiting for so many seconds (None: for as long as it takes).
    """

    def __init__(self, take: Callable[[int, float | None], Sequence[int]]) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._pids: list[int] = []
        self._size = 0

    def allocate(self, count: int, within: float | None) -> Sequence[int]:
        """So many fresh pids, ascending.

        Raises:
            StoreUnavailable: they are not there within so many seconds.
        """
        if not self._lock.acquire(timeout=-1 if within is None else within):
            raise StoreUnavailable(f"no pids within {within:g} s: others wait for the database too")
        try:
            if len(self._pids) < count:
                self._pids.extend(self._take(max(count - len(self._pids), self._size), within))
                self._size = min(_LARGEST, 4 * max(self._size, count))
            given, self._pids = self._pids[:count], self._pids[count:]
        finally:
            self._lock.release()
        return given

    def forget(self) -> None:
        """Drop what is left of the block."""
        with self._lock:
            self._pids = []
