"""Whose code has the main thread of a step host just now: told to its worker through memory that both map.

So the worker knows it without asking: also of a host that is stuck, and of one that has died. The page holds
four integers of 64 bits, as the machine has them:

- 0: the pid of the process (the engine's pid, not the operating system's); 0 while it is nobody's code;
- 1: since when, in nanoseconds of the monotonic clock, which is one for all programs of a machine;
- 2: the pid of the process whose code has run last, or runs;
- 3: how many bytes of its link the host has read.

The host writes the second before the first. It does so whenever users' code gets the main thread: for each
function and each resumption of a coroutine.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

SIZE = 32


class Running(NamedTuple):
    """Whose code runs.

    Attributes:
        pid: Of the process.
        since: In seconds of the monotonic clock (`time.monotonic()`).
    """

    pid: int
    since: float


def new_page() -> int:
    """A descriptor of memory for one host, to be mapped here and there. Nobody's code runs yet."""
    descriptor = os.memfd_create("quince-host")
    os.ftruncate(descriptor, SIZE)
    return descriptor


class WhoRuns:
    """One host's page. The descriptor is not needed any more once this is made."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SIZE)
        self._page = memoryview(self._map).cast("q")

    def now(self) -> Running | None:
        """Whose code runs at this moment; of a host that has ended: at its end."""
        while True:
            pid, since, *_ = self._page
            if self._page[0] == pid:
                return Running(pid, since / 1e9) if pid else None

    @property
    def pid(self) -> int:
        """Of the process whose code runs; 0: none does."""
        return self._page[0]

    @property
    def last(self) -> int:
        """Of the process whose code runs, or has run last."""
        return self._page[2]

    @property
    def received(self) -> int:
        """Bytes that the host has read of its link."""
        return self._page[3]

    def receive(self, count: int) -> None:
        """The host has read so many more."""
        self._page[3] += count

    def abandon(self) -> None:
        """In a child that was forked: what it runs says nothing about the host."""
        self._page = memoryview(bytearray(SIZE)).cast("q")

    @contextmanager
    def running(self, pid: int) -> Iterator[None]:
        """Inside the block the code of this process runs, or, in the midst of another's, goes on to run."""
        before = self.enter(pid)
        try:
            yield
        finally:
            self.leave(before)

    def enter(self, pid: int) -> int:
        """The code of a process begins to run. Returns what `leave` is to be given."""
        page = self._page
        before = page[0]
        if before != pid:
            page[1] = time.monotonic_ns()
            page[0] = pid
            page[2] = pid
        return before

    def leave(self, before: int) -> None:
        """It has come to its end, or to where it awaits something."""
        if self._page[0] != before:
            self._page[0] = before
