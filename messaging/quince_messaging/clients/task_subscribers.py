"""The subscribers of task queues of the blocking face: one consumer a queue, offered each task in turn."""

from __future__ import annotations

import asyncio
import functools
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import kiwipy

from quince_messaging.clients.bridge import Bridge
from quince_messaging.clients.futures import is_future, when_done
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.clients.subscribers import call_subscriber
from quince_messaging.clients.task_proxy import TaskProxy
from quince_messaging.clients.thread_pool import ThreadPool
from quince_messaging.contract import Communicator, TaskConsumer, TaskHandle
from quince_messaging.errors import DuplicateSubscriber, MessagingError
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)

REJECTION_PAUSE = 0.05
"""Seconds before a task that nobody here wanted, for a second time, goes back to the queue; otherwise a
lone consumer that rejects it would get it again at once, for ever."""


class TaskSubscribers:
    """All task subscribers of a communicator, by queue."""

    def __init__(self, owner: Communicator, thread: LoopThread, pool: ThreadPool, bridge: Bridge) -> None:
        self._owner = owner
        self._thread = thread
        self._pool = pool
        self._bridge = bridge
        self._lock = threading.Lock()
        self._queues: dict[str, QueueSubscribers] = {}

    def add(self, subscriber: Callable[..., Any], identifier: Any, queue: str, prefetch: int) -> Any:
        """Have it called with each task of a queue; returns its identifier. Raises DuplicateSubscriber."""
        name = uuid.uuid4().hex if identifier is None else identifier
        with self._lock:
            if any(name in group.subscribers for group in self._queues.values()):
                raise DuplicateSubscriber(f"{name!r} is a task subscriber already")
            group = self._queues.get(queue)
            first = group is None
            if group is None:
                group = self._queues[queue] = QueueSubscribers(self._owner, self._thread, self._pool)
            group.subscribers[name] = subscriber
        if first:
            try:
                self._bridge.wait(group.start, queue, prefetch)
            except BaseException:
                with self._lock:
                    self._queues.pop(queue, None)
                raise
        return name

    def remove(self, identifier: Any) -> None:
        """Call it no more; with the last one of a queue its consumer stops. Raises ValueError."""
        with self._lock:
            queue = next((q for q, group in self._queues.items() if identifier in group.subscribers), None)
            if queue is None:
                raise ValueError(f"no task subscriber {identifier!r}")
            group = self._queues[queue]
            del group.subscribers[identifier]
            if group.subscribers:
                return
            del self._queues[queue]
        self._bridge.wait(group.stop)


class QueueSubscribers:
    """The subscribers of one queue: one consumer, each task offered to them in turn."""

    def __init__(self, owner: Communicator, thread: LoopThread, pool: ThreadPool) -> None:
        self.subscribers: dict[Any, Callable[..., Any]] = {}
        self._owner = owner
        self._thread = thread
        self._pool = pool
        self._consumer: TaskConsumer | None = None
        self._lock = threading.Lock()
        self._not_begun: dict[TaskProxy, None] = {}
        self._unsettled = 0
        self._stopping = False

    async def start(self, queue: str, prefetch: int) -> None:
        self._consumer = await self._thread.transport.consume(self._arrived, queue=queue, prefetch=prefetch)

    async def stop(self) -> None:
        """Take no more tasks and give back those not begun; those that run are still settled from here.

        A consumer that is closed gives back all that it holds, so that somebody else would do what is
        being done here: it is closed when the last of them is settled, for which nobody waits.
        """
        if self._consumer is None:
            return
        if self._unsettled:
            await self._consumer.pause()
        with self._lock:
            self._stopping = True
            untouched, self._not_begun = list(self._not_begun), {}
        if self._unsettled == len(untouched):
            await self._consumer.close()
        for task in untouched:
            task.requeue()

    def _arrived(self, tasks: Sequence[TaskHandle]) -> None:
        held = [TaskProxy(task, self._thread, self._settled) for task in tasks]
        self._unsettled += len(held)
        if self._stopping:
            for task in held:
                task.requeue()
            return
        with self._lock:
            self._not_begun.update(dict.fromkeys(held))
        for task in held:
            self._pool.submit(self._begin, task)

    def _begin(self, task: TaskProxy) -> None:
        """On a pool thread: run a task, unless it was given back while it waited for the thread."""
        with self._lock:
            subscribers = tuple(self.subscribers.values())
            if task not in self._not_begun or not subscribers:
                return
            del self._not_begun[task]
        self._offer(task, subscribers)

    def _offer(self, task: TaskHandle, subscribers: Sequence[Callable[..., Any]]) -> None:
        """On a pool thread: offer a task to subscribers in turn; the first that takes it settles it."""
        for position, subscriber in enumerate(subscribers):
            result, error = call_subscriber(subscriber, self._owner, task.body)
            if isinstance(error, kiwipy.TaskRejected):
                continue
            others = subscribers[position + 1 :]
            rejected = functools.partial(self._owner.on_pool, self._offer, task, others)
            finish_task(task, result, error, rejected)
            return
        if task.redelivered and not self._owner.is_closed():
            self._thread.post(lambda: asyncio.get_running_loop().call_later(REJECTION_PAUSE, task.requeue))
        else:
            task.requeue()

    def _settled(self) -> None:
        self._unsettled -= 1
        if self._stopping and not self._unsettled:
            self._thread.spawn(self._close())

    async def _close(self) -> None:
        try:
            if self._consumer is not None:
                await self._consumer.close()
        except MessagingError as error:
            log.debug(
                "a consumer that had stopped could not be closed: %(error)s",
                communicator=self._thread.name,
                error=error,
            )


def finish_task(
    task: TaskHandle, result: Any, error: BaseException | None, rejected: Callable[[], None] | None = None
) -> None:
    """Settle a task with what its subscriber gave; a future settles it when it ends.

    Args:
        rejected: What to do if the future ends with TaskRejected, instead of giving the task back.
    """
    if isinstance(error, kiwipy.TaskRejected) and rejected is not None:
        rejected()
    elif isinstance(error, asyncio.CancelledError | kiwipy.CancelledError | kiwipy.TaskRejected):
        task.requeue()
    elif error is not None:
        task.fail(error)
        log.error("a task failed", error=error, exc_info=error)
    elif is_future(result):
        task.later()
        when_done(result, lambda value, failure: finish_task(task, value, failure, rejected))
    else:
        task.ack(result)
