"""Changes, as they come: of processes, of the fleet; pushed, and at worst a second late."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from quince.workspace.workspace import Workspace

LATEST = 1.0
"""Seconds after which something may have changed without a broadcast of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something may have changed since the last one: read anew what is shown.

    Attributes:
        pids: Of which processes a change was told; empty: nobody has told anything, but what is told is not
            all that happens.
        told: It was told, and is not only the second that is over.
    """

    pids: frozenset[int]
    told: bool


class Changes:
    """Changes of processes from now on, for a thread (`for`, `next`) or a coroutine (`async for`).

    It ends with its `with` block, or `close()`, from any thread. What comes while nobody asks is told
    together.

    Args:
        pids: Of these processes alone; None: of all.
        least: Seconds between two changes, so that a page is not drawn at each of a thousand.
    """

    def __init__(
        self, workspace: Workspace, pids: Collection[int] | None = None, *, least: float = 0.1
    ) -> None:
        self._workspace = workspace
        self._wanted = None if pids is None else frozenset(pids)
        self._least = least
        self._last = 0.0
        self._lock = threading.Lock()
        self._heard: set[int] = set()
        self._bell = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ring: asyncio.Event | None = None
        self._closed = False
        self._listening = workspace.watcher.all_changes(self._on_change)
        self._listening.__enter__()

    def close(self) -> None:
        """End it. May be called twice."""
        if not self._closed:
            self._closed = True
            self._listening.__exit__(None, None, None)
            self._wake()

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Changes:
        return self

    def __next__(self) -> Change:
        if (change := self.next()) is None:
            raise StopIteration
        return change

    def next(self, timeout: float = LATEST) -> Change | None:
        """The next one; after so many seconds one that was not told; None when it is closed. Blocks."""
        self._bell.wait(timeout)
        if not self._closed:
            time.sleep(max(0.0, self._last + self._least - time.monotonic()))
        return self._taken()

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        self._loop = asyncio.get_running_loop()
        if self._ring is None:
            self._ring = asyncio.Event()
        if not self._bell.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ring.wait(), LATEST)
        if not self._closed:
            await asyncio.sleep(max(0.0, self._last + self._least - time.monotonic()))
        self._ring.clear()
        if (change := self._taken()) is None:
            raise StopAsyncIteration
        return change

    def _taken(self) -> Change | None:
        if self._closed:
            return None
        with self._lock:
            heard, told = frozenset(self._heard), self._bell.is_set()
            self._heard.clear()
            self._bell.clear()
        self._last = time.monotonic()
        if not told:
            self._workspace.watcher.ask()
        return Change(heard, told)

    def _on_change(self, pids: Collection[int]) -> None:
        with self._lock:
            new = pids if self._wanted is None else self._wanted.intersection(pids)
            if not new:
                return
            self._heard.update(new)
        self._wake()

    def _wake(self) -> None:
        self._bell.set()
        loop, ring = self._loop, self._ring
        if loop is not None and ring is not None and not loop.is_closed():
            loop.call_soon_threadsafe(ring.set)
