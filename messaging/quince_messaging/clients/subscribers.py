"""How subscribers of the blocking face are called: on the pool, their results sent back."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import kiwipy

from quince_messaging.clients.futures import is_future, when_done
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.clients.task_proxy import TaskProxy
from quince_messaging.clients.thread_pool import ThreadPool
from quince_messaging.contract import RpcHandler, TaskConsumer, TaskHandle
from quince_messaging.errors import CommunicatorClosed, MessagingError
from quince_messaging.wire.calls import Arrival, bearable

if TYPE_CHECKING:
    from quince_messaging.clients.blocking import Communicator

log = logging.getLogger(__name__)

REJECTION_PAUSE = 0.05
"""Seconds before a task that nobody here wanted, for a second time, goes back to the queue; otherwise a
lone consumer that rejects it would get it again at once, for ever."""


def rpc_handler(
    subscriber: Callable[..., Any], owner: Any, thread: LoopThread, pool: ThreadPool
) -> RpcHandler:
    """A handler for the transport that calls `subscriber(owner, msg)` on the pool."""

    def handle(body: Any) -> asyncio.Future[Any]:
        arrival = Arrival(loop=asyncio.get_running_loop())
        pool.submit(_call, arrival, body)
        return arrival

    def _call(arrival: Arrival, body: Any) -> None:
        result, error = call_subscriber(subscriber, owner, body)
        here = None if error is not None or is_future(result) else arrival.answer_here
        if here is None or not here(result):
            _deliver(thread, arrival, result, error)

    return handle


def _deliver(
    thread: LoopThread, arrival: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    """From any thread: let a result arrive; a future arrives as a future, which then follows it."""
    try:
        if error is not None:
            thread.post(_arrive, arrival, None, bearable(error))
        elif is_future(result):
            twin: asyncio.Future[Any] = arrival.get_loop().create_future()
            thread.post(_arrive, arrival, twin, None)
            when_done(result, lambda value, failure: _deliver(thread, twin, value, failure))
        else:
            thread.post(_arrive, arrival, result, None)
    except CommunicatorClosed:
        log.debug("a call was answered after its communicator closed", extra={"communicator": thread.name})


def _arrive(arrival: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if arrival.done():
        return
    if isinstance(error, asyncio.CancelledError | kiwipy.CancelledError):
        arrival.cancel()
    elif error is not None:
        arrival.set_exception(error)
    else:
        arrival.set_result(result)


def call_subscriber(
    subscriber: Callable[..., Any], owner: Any, body: Any
) -> tuple[Any, BaseException | None]:
    """Call a subscriber here; what it returned, or raised, were it SystemExit."""
    try:
        result = subscriber(owner, body)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except BaseException as error:
        return None, error
    return result, None


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
        run_task(task, subscribers, self._owner)

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
                "a consumer that had stopped could not be closed: %s",
                error,
                extra={"communicator": self._thread.name, "error": type(error).__name__},
            )


def run_task(task: TaskHandle, subscribers: Sequence[Callable[..., Any]], owner: Communicator) -> None:
    """On a pool thread: offer a task to subscribers in turn; the first that takes it settles it."""
    for position, subscriber in enumerate(subscribers):
        result, error = call_subscriber(subscriber, owner, task.body)
        if isinstance(error, kiwipy.TaskRejected):
            continue
        others = subscribers[position + 1 :]
        finish_task(task, result, error, functools.partial(owner.on_pool, run_task, task, others, owner))
        return
    if task.redelivered and not owner.is_closed():
        owner.later(REJECTION_PAUSE, task.requeue)
    else:
        task.requeue()


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
        log.error("a task failed", exc_info=error, extra={"error": type(error).__name__})
    elif is_future(result):
        task.later()
        when_done(result, lambda value, failure: finish_task(task, value, failure, rejected))
    else:
        task.ack(result)
