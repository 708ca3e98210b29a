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
        self._counting: dict[Hashable, threading.Event] = {}

    def get(self, name: Hashable, count: Callable[[], T]) -> T:
        """What `count` says, or has said a moment ago."""
        with self._lock:
            kept = self._kept_of(name, count)
        value: T = self._count(name, count) if kept is None else kept.value
        return value

    def begin(self, name: Hashable, count: Callable[[], T]) -> Callable[[float], T | None]:
        """Begin to count. What is returned says what `get` does, but waits for it for no longer than so many
        seconds: then it says None, and whoever asks later is told."""
        with self._lock:
            kept = self._kept_of(name, count)
            counted = None if kept is not None else self._beside(name, count)

        def soon(seconds: float) -> T | None:
            if counted is not None and not counted.wait(max(0.0, seconds)):
                return None
            found = kept or self._kept.get(name)
            return None if found is None else found.value

        return soon

    def _kept_of(self, name: Hashable, count: Callable[[], Any]) -> _Kept | None:
        """What is known and of use; what is due is counted beside."""
        kept = self._kept.get(name)
        if kept is None or not kept.due:
            return kept
        if kept.took <= QUICK or kept.stale:
            return None
        self._beside(name, count)
        return kept

    def _beside(self, name: Hashable, count: Callable[[], Any]) -> threading.Event:
        """Have it counted in a thread, unless one is at it; the event tells when that is over."""
        if (counted := self._counting.get(name)) is None:
            counted = self._counting[name] = threading.Event()
            threading.Thread(target=self._count_beside, args=(name, count, counted), daemon=True).start()
        return counted

    def _count_beside(self, name: Hashable, count: Callable[[], Any], counted: threading.Event) -> None:
        try:
            self._count(name, count)
        except Exception:  # whoever asks next is told
            with self._lock:
                self._kept.pop(name, None)
        finally:
            with self._lock:
                del self._counting[name]
            counted.set()

    def _count(self, name: Hashable, count: Callable[[], T]) -> T:
        began = time.monotonic()
        value = count()
        took = time.monotonic() - began
        with self._lock:
            self._kept[name] = _Kept(value, took)
        return value


class _Kept:
    def __init__(self, value: Any, took: float) -> None:
        self.value, self.took = value, took
        now = time.monotonic()
        self._until = now + (min(took * SHARE, LONGEST) if took > QUICK else 0.0)
        self._old = now + LONGEST

    @property
    def due(self) -> bool:
        """It is to be counted anew."""
        return time.monotonic() > self._until

    @property
    def stale(self) -> bool:
        """Nobody has asked for so long that it is of no use."""
        return time.monotonic() > self._old
