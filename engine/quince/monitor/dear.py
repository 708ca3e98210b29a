"""What takes long to count, counted no more often than it is worth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

SHARE = 20
"""A count is used again for so many times as long as it took."""
LONGEST = 60.0
QUICK = 0.02
"""Seconds: what takes no longer is counted while its caller waits; what does is counted beside him, and he
gets the count of before."""


class Dear:
    """Counts of one store. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, name: Hashable, count: Callable[[], T]) -> T:
        """What `count` says, or has said a moment ago."""
        with self._lock:
            kept = self._kept.get(name)
            due = kept is None or time.monotonic() > kept.until
            if kept is not None and (not due or (kept.took > QUICK and not kept.stale)):
                if due and not kept.counting:
                    kept.counting = True
                    threading.Thread(target=self._beside, args=(name, count), daemon=True).start()
                value: T = kept.value
                return value
        return self._count(name, count)

    def _beside(self, name: Hashable, count: Callable[[], Any]) -> None:
        try:
            self._count(name, count)
        except Exception:  # whoever asks next is told
            with self._lock:
                self._kept.pop(name, None)

    def _count(self, name: Hashable, count: Callable[[], T]) -> T:
        began = time.monotonic()
        value = count()
        took = time.monotonic() - began
        with self._lock:
            self._kept[name] = _Kept(value, took)
        return value


class _Kept:
    def __init__(self, value: Any, took: float) -> None:
        self.value, self.took, self.counting = value, took, False
        now = time.monotonic()
        self.until = now + (min(took * SHARE, LONGEST) if took > QUICK else 0.0)
        self._old = now + LONGEST

    @property
    def stale(self) -> bool:
        """Nobody has asked for so long that it is of no use."""
        return time.monotonic() > self._old
