"""How many messages, and how many bytes of them, may be under way at a time."""

from __future__ import annotations

import threading
import time


class Share:
    """What some messages take up: taken and given back once, however often that is asked for.

    So Ctrl-C, which may come when nobody can tell any more who was to give it back, loses nothing.

    Args:
        size: Bytes of their bodies.
        number: Messages.
    """

    __slots__ = ("number", "size", "taken")

    def __init__(self, size: int, number: int = 1) -> None:
        self.size = size
        self.number = number
        self.taken = False


class Backpressure:
    """Bounds messages on their way, by number and by bytes. For any threads.

    What is larger than the bounds passes alone. Nothing is called between the changes of one
    account, so that no signal comes between them; a handler of one may itself take a share.

    Args:
        most: Messages.
        most_bytes: Bytes of their bodies.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.RLock()
        self._gates: list[threading.Lock] = []
        """One for each thread that waits, opened when a share is given back. (A signal in the middle of a
        `threading.Condition` can leave its lock open, or locked.)"""
        self._number = 0
        self._bytes = 0

    def take(self, share: Share, *, timeout: float = 0.0) -> bool:
        """Take a share; False if nothing is free in time."""
        if self._taken(share, None):
            return True
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            gate = threading.Lock()
            gate.acquire()
            if self._taken(share, gate):
                return True
            gate.acquire(timeout=left)
        return False

    def take_anyway(self, share: Share) -> None:
        """Take it even if it is not there, on the thread that must not wait."""
        with self._lock:
            self._add(share)

    def give_back(self, *shares: Share) -> None:
        """Give back what was taken, if it was, and was not given back yet."""
        with self._lock:
            for share in shares:
                if share.taken:
                    share.taken = False
                    self._number -= share.number
                    self._bytes -= share.size
            while self._gates:
                self._gates.pop().release()

    def _taken(self, share: Share, gate: threading.Lock | None) -> bool:
        """Take a share if it fits; if not, have the gate opened when one is given back."""
        with self._lock:
            if self._fits(share):
                self._add(share)
                return True
            if gate is not None:
                self._gates.append(gate)
        return False

    def _add(self, share: Share) -> None:
        share.taken = True
        self._number += share.number
        self._bytes += share.size

    def _fits(self, share: Share) -> bool:
        if not self._number:
            return True
        return self._number + share.number <= self._most and self._bytes + share.size <= self._most_bytes

    def __str__(self) -> str:
        return f"{self._number} messages of {self._bytes} bytes"
