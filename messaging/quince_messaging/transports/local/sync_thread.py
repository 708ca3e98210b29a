"""Making commits durable for those who wait on the event loop, on a thread that also check-points the log."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Sequence
from typing import TypeVar

from quince_messaging.at_fork import fork_guard
from quince_messaging.side_tasks import SideTasks
from quince_messaging.transports.local.db_errors import explained
from quince_messaging.transports.local.task_db import TaskDb

T = TypeVar("T")

MOST_AT_ONCE = 500
COMMITS_PER_CHECKPOINT = 1000
_CHECKPOINTING = "check-pointing the task file"

Durable = Sequence[asyncio.Future[None]]
"""Futures of commits, which end when these are on the disk."""


class SyncThread:
    """One thread for one task file.

    Args:
        side: Makes the thread, and is told what fails on it.
        post: Calls a function on the event loop, from any thread.
    """

    def __init__(self, file: TaskDb, side: SideTasks, post: Callable[..., None]) -> None:
        self._file = file
        self._side = side
        self._post = post
        self._waiting: queue.SimpleQueue[Durable | None] = queue.SimpleQueue()
        self._commits = 0
        self._checkpointed = 0
        self.thread = side.thread("quince-local-sync", self._work)

    def stop(self) -> None:
        """End when all that was committed is on the disk. From any thread."""
        self._waiting.put(None)

    def committed(self, count: int, durable: Durable) -> None:
        """So many pieces of work were committed; these futures of theirs wait for the disk."""
        self._commits += count
        if durable or self._wants_checkpoint():
            self._waiting.put(durable)

    def _wants_checkpoint(self) -> bool:
        return self._commits - self._checkpointed >= COMMITS_PER_CHECKPOINT

    def _work(self) -> None:
        more = True
        while more:
            durable, more = self._take()
            if durable:
                self._make_durable(durable)
            if self._wants_checkpoint():
                self._checkpointed = self._commits
                self._checkpoint()

    def _take(self) -> tuple[Durable, bool]:
        """All that waits, after waiting for the first; and whether more may come."""
        found: list[asyncio.Future[None]] = []
        for _ in range(MOST_AT_ONCE):
            durable = self._waiting.get()
            if durable is None:
                return found, False
            found += durable
            if self._waiting.empty():
                break
        return found, True

    def _make_durable(self, durable: Durable) -> None:
        failed: Exception | None = None
        try:
            self._file.log.sync(self._file.log.mark())
        except Exception as error:  # whatever it is: those who wait are told
            failed = error
        self._post(_resolve_all, durable, failed)

    def _checkpoint(self) -> None:
        try:
            with fork_guard:
                self._file.checkpoint()
        except Exception as error:
            self._side.failed(_CHECKPOINTING, error)
        else:
            self._side.well(_CHECKPOINTING)


def resolve(future: asyncio.Future[T], value: T, error: Exception | None) -> None:
    """End a future, unless it has ended, with a value or an error."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _resolve_all(durable: Durable, error: Exception | None) -> None:
    for future in durable:
        resolve(future, None, None if error is None else explained(error))
