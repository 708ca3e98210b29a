"""The blocking face: a `kiwipy.Communicator` for threads, its transport on the hidden thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar

import kiwipy

from quince_messaging.clients.bridge import Bridge, Outgoing
from quince_messaging.clients.close_callbacks import CloseCallback, CloseCallbacks
from quince_messaging.clients.kiwipy_filter import routable
from quince_messaging.clients.loop_thread import CLOSE_TIMEOUT, LoopThread
from quince_messaging.clients.rpc_client import RpcClient
from quince_messaging.clients.subscribers import rpc_handler
from quince_messaging.clients.task_proxy import TaskProxy
from quince_messaging.clients.task_queue import TaskQueue
from quince_messaging.clients.task_subscribers import TaskSubscribers
from quince_messaging.clients.thread_pool import MOST_THREADS, InOrder, ThreadPool
from quince_messaging.contract import (
    DEFAULT_QUEUE,
    BroadcastMessage,
    BroadcastSubscriber,
    DeadLetter,
    LinkListener,
    LinkState,
    SubjectFilter,
    Subscriber,
    TaskHandle,
    Transport,
)
from quince_messaging.errors import CommunicatorClosed, DuplicateSubscriber
from quince_messaging.limits import check_prefetch, check_priority, check_queue
from quince_messaging.wire.broadcasts import body_size, checked
from quince_messaging.wire.envelope import pack

T = TypeVar("T")

TASK_PREFETCH = 32
"""Tasks that a queue's subscribers of one communicator hold at a time, each on a thread of its own."""


class Communicator(kiwipy.Communicator):  # type: ignore[misc]  # kiwipy is untyped
    """Task queue, RPC and broadcast from any thread; a program written for kiwiPy runs unchanged.

    Opened by `quince_messaging.connect`, closed by `with` or `close()`. Subscribers are called on threads of
    its own: calls and tasks side by side, broadcasts of one subscriber in order.
    """

    def __init__(self, transport: Transport, *, task_prefetch: int = TASK_PREFETCH) -> None:
        check_prefetch(task_prefetch)
        self._transport = transport
        self._thread = LoopThread(transport, "quince-messages")
        self._pool = ThreadPool("quince-subscriber")
        self._link_pool = ThreadPool(
            "quince-link-listener", at_once=MOST_THREADS
        )  # one may block, others want to hear
        self._task_prefetch = task_prefetch
        self._lock = threading.Lock()
        self._broadcasts: dict[Any, tuple[str, InOrder]] = {}
        self._bridge = Bridge(self._thread)
        self._task_subscribers = TaskSubscribers(self, self._thread, self._pool, self._bridge)
        self._outgoing = Outgoing(self._thread, self._bridge)
        self._calling = RpcClient(self._thread, self._bridge)
        self._close_callbacks: CloseCallbacks | None = None

    def open(self) -> None:
        """Connect. Raises ConnectionFailed."""
        try:
            self._thread.start().result()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Requeue what is unsettled and disconnect. Prompt, from any thread; may be called twice.

        Subscribers that are at work go on, and nobody waits for them; no other call begins on return, but
        for the listeners of the link, who hear that it is closed.
        """
        closing = self._thread.close()
        if self._thread.forked:
            return
        for _, in_order in list(self._broadcasts.values()):
            in_order.stop()
        self._pool.close()
        closing.add_done_callback(lambda _: self._link_pool.close(drop=False))
        if not self._thread.here:
            concurrent.futures.wait([closing], timeout=CLOSE_TIMEOUT + 1)

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._thread.closed

    @property
    def state(self) -> LinkState:
        """Where the link to the broker stands."""
        return self._transport.state

    @property
    def server_properties(self) -> dict[str, Any]:
        """What the broker says of itself; empty without one."""
        return self._transport.server_properties

    def on_link(self, listener: LinkListener) -> None:
        """Call `listener`, on a thread of the communicator, with each new state of the link, in order.

        The last one is CLOSED. `close` does not wait until it was heard.
        """
        self._transport.on_link(InOrder(self._link_pool, listener).put)

    def add_close_callback(self, callback: CloseCallback, weak: bool = False) -> None:
        """Call `callback(communicator, None)` once, on a thread of the communicator, when it is closed.

        Args:
            weak: Forget it when nothing else refers to it.
        """
        self._thread.check()
        with self._lock:
            if self._close_callbacks is None:
                self._close_callbacks = CloseCallbacks(self)
                self.on_link(self._close_callbacks)
            self._close_callbacks.add(callback, weak=weak)

    # Task queue

    def task_send(
        self,
        task: Any,
        no_reply: bool = False,
        *,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        wait: bool = True,
    ) -> concurrent.futures.Future[Any] | None:
        """Put a task on the queue.

        With a reply it is on its way on return, and what goes wrong on the way is told by the future
        too, so many can be sent without waiting for each; this communicator's own `pull` and
        `queue_size` wait for those under way. With `no_reply` the broker has it on disk on return.

        Args:
            task: The body.
            no_reply: Nobody will tell its result.
            queue: Declared if it does not exist.
            priority: 0 (default) to 9 (first).
            wait: With `no_reply`: False gives a future that ends when the broker has it on disk.

        Returns:
            The future of its result; if the subscriber returned a future, that result is itself a
            future. None with `no_reply`.

        Raises:
            DeliveryFailed: the broker did not take it.
            ValueError: there is no such priority.
        """
        check_queue(queue)
        check_priority(priority)
        if no_reply and wait:
            self.send_tasks([task], queue=queue, priority=priority)
            return None
        body = pack(task)
        size = body_size(body)
        if no_reply:
            return self._bridge.two_stages(self._durable, [body], queue, priority, size=size)
        return self._bridge.two_stages(
            self._transport.call_task, body, queue=queue, priority=priority, size=size
        )

    def send_tasks(self, bodies: Sequence[Any], *, queue: str = DEFAULT_QUEUE, priority: int = 0) -> None:
        """Put many tasks on the queue; the broker has them all on disk on return."""
        check_queue(queue)
        check_priority(priority)
        self._thread.refuse_here()
        outcome = self._bridge.two_stages(
            self._durable, bodies, queue, priority, at_once=self._transport.store_at_once
        )
        if (until_durable := outcome.result()) is not None:
            until_durable()

    def task_queue(self, queue_name: str, prefetch_size: int = 0, prefetch_count: int = 0) -> TaskQueue:
        """A queue of its own name. `prefetch_size` (bytes) is there for kiwiPy and not used."""
        self._thread.check()
        check_queue(queue_name)
        prefetch = prefetch_count or self._task_prefetch
        check_prefetch(prefetch)
        return TaskQueue(self, queue_name, prefetch)

    def add_task_subscriber(
        self,
        subscriber: Subscriber,
        identifier: Any = None,
        *,
        queue: str = DEFAULT_QUEUE,
        prefetch: int | None = None,
    ) -> Any:
        """Have `subscriber(communicator, task)` called with each task of a queue.

        Its result, or the outcome of the future that it returns, settles the task; TaskRejected passes
        it to the next subscriber, and after the last one back to the queue.
        """
        self._thread.check()
        check_queue(queue)
        prefetch = self._task_prefetch if prefetch is None else prefetch
        check_prefetch(prefetch)
        return self._task_subscribers.add(subscriber, identifier, queue, prefetch)

    def remove_task_subscriber(self, identifier: Any) -> None:
        """Stop. Raises ValueError if there is no such subscriber."""
        self._thread.check()
        self._task_subscribers.remove(identifier)

    def pull(self, *, queue: str = DEFAULT_QUEUE, timeout: float | None = None) -> TaskHandle | None:
        """One task now, or None if the queue is empty."""
        check_queue(queue)
        task = self._bridge.after_sends(self._transport.pull, queue=queue, timeout=timeout)
        return None if task is None else TaskProxy(task, self._thread)

    def queue_size(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """How many tasks wait on the queue."""
        check_queue(queue)
        return self._bridge.after_sends(self._transport.queue_size, queue=queue, timeout=None)

    def purge(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """Drop every waiting task; returns how many."""
        check_queue(queue)
        return self._bridge.after_sends(self._transport.purge, queue=queue, timeout=None)

    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        """The oldest messages that nobody could read or wanted; they stay where they are."""
        return self._bridge.wait(self._transport.dead_letters, limit=limit)

    def revive(self, *, queue: str | None = None) -> int:
        """Put dead letters (of one queue, or all) back on their queues; returns how many."""
        return self._bridge.wait(self._transport.revive, queue=queue)

    # RPC

    def rpc_send(self, recipient_id: Any, msg: Any) -> concurrent.futures.Future[Any]:
        """Call; returns the future of the answer (itself a future if the subscriber returned one).

        That somebody is there is waited for, unless an answer came from there a moment ago, or this is a
        callback of a future; then it is the future that would say otherwise.

        Raises:
            UnroutableError: nobody is there.
        """
        return self._calling.send(str(recipient_id), msg)

    def rpc_call(self, recipient_id: Any, msg: Any, *, timeout: float | None = None) -> Any:
        """Call and wait for the answer, however many futures it comes in.

        Args:
            timeout: Seconds, for all of it.

        Raises:
            UnroutableError: nobody is there.
            MessageTimeout: there was no answer in time. What was begun there goes on.
            RemoteError: the other side raised.
        """
        return self._calling.call(str(recipient_id), msg, timeout)

    def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        """Call without an answer. Raises UnroutableError if nobody is there."""
        self._bridge.wait(self._transport.cast, str(recipient_id), msg)

    def add_rpc_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> Any:
        """Answer calls to `identifier` with `subscriber(communicator, msg)`. Raises DuplicateSubscriber."""
        name = uuid.uuid4().hex if identifier is None else identifier
        handler = rpc_handler(subscriber, self, self._thread, self._pool)
        self._bridge.wait(self._transport.serve, str(name), handler)
        return name

    def remove_rpc_subscriber(self, identifier: Any) -> None:
        """Stop answering. Raises ValueError if there is no such subscriber."""
        self._calling.forget(str(identifier))
        self._bridge.wait(self._transport.unserve, str(identifier))

    # Broadcast

    def broadcast_send(
        self, body: Any, sender: Any = None, subject: str | None = None, correlation_id: Any = None
    ) -> bool:
        """Send to every subscriber whose filter matches.

        It is on its way on return, not yet with the broker; `flush` waits for that.

        Raises:
            TypeError, ValueError, OverflowError: a part of it is nothing that can travel.
            UnreadableMessage: it is too large.
        """
        self.broadcast_many([BroadcastMessage(body, sender, subject, correlation_id)])
        return True

    def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send several broadcasts; those of one thread arrive in order."""
        self._outgoing.send([checked(message) for message in messages])

    def flush(self) -> None:
        """Wait until every broadcast sent so far has left this process."""
        self._outgoing.flush()

    def add_broadcast_subscriber(
        self,
        subscriber: BroadcastSubscriber,
        identifier: Any = None,
        *,
        wanted: SubjectFilter | None = None,
    ) -> Any:
        """Have `subscriber(communicator, body, sender, subject, correlation_id)` called.

        Args:
            wanted: A filter for the broker. A `kiwipy.BroadcastFilter` as subscriber is turned into one
                as far as it can be.

        Raises:
            DuplicateSubscriber: the identifier is taken.
        """
        self._thread.check()
        name = uuid.uuid4().hex if identifier is None else identifier
        in_order = InOrder(self._pool, functools.partial(_call_broadcast, subscriber, self))
        with self._lock:
            if name in self._broadcasts:
                raise DuplicateSubscriber(f"{name!r} is a broadcast subscriber already")
            self._broadcasts[name] = "", in_order
        try:
            subscription = self._bridge.wait(
                self._transport.subscribe, in_order.put, wanted or routable(subscriber)
            )
        except BaseException:
            self._broadcasts.pop(name, None)
            raise
        self._broadcasts[name] = subscription, in_order
        return name

    def remove_broadcast_subscriber(self, identifier: Any) -> None:
        """Stop receiving. No call begins after the return; one that runs already goes on.

        Raises:
            ValueError: there is no such subscriber.
        """
        self._thread.check()
        try:
            subscription, in_order = self._broadcasts.pop(identifier)
        except KeyError:
            raise ValueError(f"no broadcast subscriber {identifier!r}") from None
        in_order.stop()
        self._bridge.wait(self._transport.unsubscribe, subscription)

    # Between threads

    def on_pool(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on one of the subscribers' threads, soon; not at all once closed."""
        with contextlib.suppress(CommunicatorClosed):
            self._thread.post(self._pool.submit, function, *args)

    async def _durable(self, bodies: Sequence[Any], queue: str, priority: int) -> Awaitable[None]:
        await self._transport.send_tasks(bodies, queue=queue, priority=priority)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stored.set_result(None)
        return stored


def _call_broadcast(subscriber: Callable[..., Any], owner: Communicator, message: BroadcastMessage) -> None:
    subscriber(owner, message.body, message.sender, message.subject, message.correlation_id)
