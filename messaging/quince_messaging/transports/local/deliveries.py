"""Tasks that a consumer holds, and how they are settled.

A task may be settled from any thread; what is settled in one turn of the loop is written to the task file
together.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from quince_messaging.wire.envelope import Reply, Task
from quince_messaging.wire.tasks import DeliveredTask, Settlement


class LocalTask(DeliveredTask):
    """One delivered task."""

    __slots__ = ("_settlements", "id", "settled")

    def __init__(self, settlements: Settlements, id_: int, task: Task, *, redelivered: bool) -> None:
        super().__init__(task, redelivered=redelivered)
        self._settlements = settlements
        self.id = id_
        self.settled = False

    def settle(self, how: Settlement | None, reply: Reply | None = None, reason: str = "") -> None:
        self._settlements.settle(self, how, reply, reason)


@dataclass(slots=True)
class SettledTasks:
    """How some tasks were settled, ready for the task file.

    Attributes:
        dead: Tasks for the dead letters, each with its reason.
        replies: The inboxes that asked for an answer, each with it.
    """

    deleted: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    dead: list[tuple[int, str]] = field(default_factory=list)
    replies: list[tuple[str, Reply]] = field(default_factory=list)

    def add(self, task: LocalTask, how: Settlement | None, reply: Reply | None, reason: str) -> None:
        if how is Settlement.DONE:
            self.deleted.append(task.id)
        elif how is Settlement.REQUEUED:
            self.requeued.append(task.id)
        elif how is Settlement.DEAD_LETTERED:
            self.dead.append((task.id, reason))
        if reply is not None and task.reply_to is not None:
            self.replies.append((task.reply_to.inbox, reply))

    def __len__(self) -> int:
        return len(self.deleted) + len(self.requeued) + len(self.dead)


class Settlements:
    """Collects what is settled, on any thread, and calls `flush` on the loop once for all of it."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._flush = flush
        self._lock = threading.Lock()
        self._settled: deque[tuple[LocalTask, Settlement | None, Reply | None, str]] = deque()
        self._scheduled = False
        self._closed = False

    def settle(self, task: LocalTask, how: Settlement | None, reply: Reply | None, reason: str) -> None:
        """Note the first settlement of a task; later ones, and those after `close`, count for nothing."""
        if how is None and reply is None:
            return
        with self._lock:
            if task.settled or self._closed:
                return
            task.settled = how is not None
            self._settled.append((task, how, reply, reason))
            if self._scheduled:
                return
            self._scheduled = True
        if threading.get_ident() == self._loop_thread:
            self._loop.call_soon(self._flush)
        else:
            self._loop.call_soon_threadsafe(self._flush)

    def collect(self) -> SettledTasks:
        """All that was settled since the last time."""
        with self._lock:
            settled = list(self._settled)
            self._settled.clear()
            self._scheduled = False
        together = SettledTasks()
        for one in settled:
            together.add(*one)
        return together

    def close(self) -> SettledTasks:
        """Note no more. Returns what was settled last."""
        with self._lock:
            self._closed = True
        return self.collect()
