"""Tasks in the hands of a consumer, and how they are settled.

A handle may be settled from any thread; what is settled meets on the loop and goes to the task file
in one piece.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from quince_messaging.errors import MessagingError
from quince_messaging.wire.calls import error_reply
from quince_messaging.wire.envelope import Address, Reply, Status, Task


class HeldTask:
    """One delivered task (a `TaskHandle`)."""

    __slots__ = ("_holder", "body", "id", "redelivered", "reply_to", "settled")

    def __init__(self, holder: Holder, id_: int, task: Task, redelivered: bool) -> None:
        self._holder = holder
        self.id = id_
        self.body: Any = task.body
        self.reply_to: Address | None = task.reply_to
        self.redelivered = redelivered
        self.settled = False

    @property
    def no_reply(self) -> bool:
        """See `TaskHandle.no_reply`."""
        return self.reply_to is None

    def ack(self, result: Any = None) -> None:
        """See `TaskHandle.ack`."""
        self._holder.settle(self, Verdict.done, result)

    def fail(self, error: BaseException) -> None:
        """See `TaskHandle.fail`."""
        self._holder.settle(self, Verdict.failed, error)

    def later(self) -> None:
        """See `TaskHandle.later`."""
        if self.reply_to is not None:
            self._holder.settle(self, Verdict.deferred, None, final=False)

    def requeue(self) -> None:
        """See `TaskHandle.requeue`."""
        self._holder.settle(self, Verdict.refused, None)

    def dead_letter(self, reason: str) -> None:
        """See `TaskHandle.dead_letter`."""
        self._holder.settle(self, Verdict.buried, reason)


@dataclass(slots=True)
class Verdict:
    """What was decided about some tasks, ready for the task file.

    Attributes:
        replies: Who asked for an answer, and the answer.
        buried: Tasks for the dead letters, each with its reason.
    """

    deleted: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    dead: list[tuple[int, str]] = field(default_factory=list)
    replies: list[tuple[str, Reply]] = field(default_factory=list)

    def done(self, task: HeldTask, result: Any) -> None:
        """It was done, with this result."""
        self.deleted.append(task.id)
        if task.reply_to is not None:
            self.replies.append((task.reply_to.inbox, Reply(task.reply_to.call, Status.RESULT, result)))

    def failed(self, task: HeldTask, error: BaseException) -> None:
        """It was done, with this error."""
        self.deleted.append(task.id)
        if task.reply_to is not None:
            self.replies.append((task.reply_to.inbox, error_reply(task.reply_to.call, error)))

    def deferred(self, task: HeldTask, _: Any) -> None:
        """It is going to take a while."""
        if task.reply_to is not None:
            self.replies.append((task.reply_to.inbox, Reply(task.reply_to.call, Status.PENDING)))

    def refused(self, task: HeldTask, _: Any) -> None:
        """Back to the queue."""
        self.requeued.append(task.id)

    def buried(self, task: HeldTask, reason: str) -> None:
        """To the dead letters."""
        self.dead.append((task.id, reason))
        if task.reply_to is not None:
            told = error_reply(task.reply_to.call, MessagingError(f"dead-lettered: {reason}"))
            self.replies.append((task.reply_to.inbox, told))

    def __len__(self) -> int:
        return len(self.deleted) + len(self.requeued) + len(self.dead)


class Holder:
    """Collects what is settled, on any thread, and calls `flush` on the loop once for all of it."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._flush = flush
        self._lock = threading.Lock()
        self._settled: deque[tuple[HeldTask, Callable[[Verdict, HeldTask, Any], None], Any]] = deque()
        self._scheduled = False
        self._closed = False

    def settle(
        self,
        task: HeldTask,
        how: Callable[[Verdict, HeldTask, Any], None],
        what: Any,
        *,
        final: bool = True,
    ) -> None:
        """Note the first verdict on a task; later ones, and those after `close`, count for nothing."""
        with self._lock:
            if task.settled or self._closed:
                return
            task.settled = final
            self._settled.append((task, how, what))
            if self._scheduled:
                return
            self._scheduled = True
        if threading.get_ident() == self._loop_thread:
            self._loop.call_soon(self._flush)
        else:
            self._loop.call_soon_threadsafe(self._flush)

    def collect(self) -> Verdict:
        """All that was settled since the last time."""
        with self._lock:
            settled = list(self._settled)
            self._settled.clear()
            self._scheduled = False
        verdict = Verdict()
        for task, how, what in settled:
            how(verdict, task, what)
        return verdict

    def close(self) -> Verdict:
        """No more; returns what was settled last."""
        with self._lock:
            self._closed = True
        return self.collect()
