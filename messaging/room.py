"""How many messages, and how many bytes of them, may be under way at a time."""

from __future__ import annotations

import threading


class Room:
    """Room for messages on their way, bounded by number and by bytes. For any threads.

    What is larger than all of the room passes alone.

    Args:
        most: Messages.
        most_bytes: Bytes of their bodies.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        self._number = 0
        self._bytes = 0
        self._waiting = 0

    def take(self, size: int, number: int = 1, *, timeout: float = 0.0) -> bool:
        """Take room for messages of so many bytes in all; False if there is none in time."""
        with self._lock:
            if not self._fits(size, number):
                return bool(timeout) and self._take_later(size, number, timeout)
            self._number += number
            self._bytes += size
        return True

    def take_anyway(self, size: int, number: int = 1) -> None:
        """Take it even if it is not there, on the thread that must not wait."""
        with self._lock:
            self._number += number
            self._bytes += size

    def give_back(self, size: int, number: int = 1) -> None:
        """Give back what was taken."""
        with self._lock:
            self._number -= number
            self._bytes -= size
            if self._waiting:
                self._change.notify_all()

    def _take_later(self, size: int, number: int, timeout: float) -> bool:
        self._waiting += 1
        try:
            if not self._change.wait_for(lambda: self._fits(size, number), timeout):
                return False
        finally:
            self._waiting -= 1
        self._number += number
        self._bytes += size
        return True

    def _fits(self, size: int, number: int) -> bool:
        if not self._number:
            return True
        return self._number + number <= self._most and self._bytes + size <= self._most_bytes

    def __str__(self) -> str:
        return f"{self._number} messages of {self._bytes} bytes"
