"""The awaitable face: a communicator for coroutines, its transport on the hidden thread."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from quince_messaging.clients.loop_thread import LinkFanOut, LoopThread
from quince_messaging.clients.task_proxy import ConsumerProxy, Handover, TaskProxy
from quince_messaging.contract import (
    DEFAULT_QUEUE,
    EVERYTHING,
    BroadcastHandler,
    BroadcastMessage,
    DeadLetter,
    LinkListener,
    LinkState,
    SubjectFilter,
    Subscriber,
    TaskBatchCallback,
    TaskConsumer,
    TaskHandle,
    Transport,
)
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.limits import check_prefetch, check_priority, check_queue
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.broadcasts import checked
from quince_messaging.wire.calls import bearable

log = StructuredLogger(__name__)
T = TypeVar("T")


class AwaitableCommunicator:
    """Task queue, RPC and broadcast for coroutines.

    Opened by `async with` or `open()`; from then on it belongs to the loop that opened it: every
    method is called there, and subscribers (functions or coroutine functions) run there.
    """

    def __init__(self, transport: Transport, name: str = "quince-messages") -> None:
        self._thread = LoopThread(transport, name)
        self._transport = transport
        self._listeners = LinkFanOut(lambda listener: functools.partial(self._cross, listener))
        self._mailbox: LoopMailbox | None = None
        self._home: int | None = None
        transport.on_link(self._listeners)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def state(self) -> LinkState:
        """Where the link to the broker stands."""
        return self._transport.state

    def troubles(self) -> list[str]:
        """What fails in here just now and is tried again, each in one sentence. From any thread."""
        return self._transport.troubles()

    def on_link(self, listener: LinkListener) -> None:
        """Call `listener` on this loop with each new state of the link, with CLOSED while `close` runs."""
        self._listeners.add(listener)

    async def open(self) -> None:
        """Connect. Raises ConnectionFailed."""
        self._mailbox = LoopMailbox(asyncio.get_running_loop())
        self._home = threading.get_ident()
        try:
            await asyncio.wrap_future(self._thread.start())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Requeue what is unsettled and disconnect. May be called twice."""
        await asyncio.shield(asyncio.wrap_future(self._thread.close()))

    # Task queue

    async def send_tasks(
        self, bodies: Sequence[Any], *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> None:
        """Put tasks on a durable queue; see `Transport.send_tasks`."""
        check_queue(queue)
        check_priority(priority)
        await self._run(self._transport.send_tasks, bodies, queue=queue, priority=priority)

    async def task_send(
        self, task: Any, no_reply: bool = False, *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> Awaitable[Any] | None:
        """Put one task on the queue; it is durable on return.

        Returns:
            The future of its result; None with `no_reply`.
        """
        if no_reply:
            await self.send_tasks([task], queue=queue, priority=priority)
            return None
        check_queue(queue)
        check_priority(priority)
        return self._future(await self._run(self._transport.call_task, task, queue=queue, priority=priority))

    async def consume(
        self, deliver: TaskBatchCallback, *, queue: str = DEFAULT_QUEUE, prefetch: int = 1
    ) -> TaskConsumer:
        """Consume a queue with settlement by hand; `deliver` is called on this loop."""
        check_queue(queue)
        check_prefetch(prefetch)

        hand_over = Handover(deliver, queue)

        def arrived(tasks: Sequence[TaskHandle]) -> None:
            self._cross(hand_over, [TaskProxy(task, self._thread) for task in tasks])

        consumer = await self._run(self._transport.consume, arrived, queue=queue, prefetch=prefetch)
        return ConsumerProxy(consumer, self._run)

    async def pull(self, *, queue: str = DEFAULT_QUEUE) -> TaskHandle | None:
        """One task now, or None if the queue is empty."""
        check_queue(queue)
        task = await self._run(self._transport.pull, queue=queue)
        return None if task is None else TaskProxy(task, self._thread)

    async def queue_size(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """How many tasks wait on the queue."""
        check_queue(queue)
        return await self._run(self._transport.queue_size, queue=queue)

    async def purge(self, *, queue: str = DEFAULT_QUEUE) -> int:
        """Drop every waiting task; returns how many."""
        check_queue(queue)
        return await self._run(self._transport.purge, queue=queue)

    async def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        """The oldest messages that nobody could read or wanted; they stay where they are."""
        return await self._run(self._transport.dead_letters, limit=limit)

    async def revive(self, *, queue: str | None = None) -> int:
        """Put dead letters (of one queue, or all) back on their queues; returns how many."""
        return await self._run(self._transport.revive, queue=queue)

    # RPC

    async def rpc_send(self, recipient_id: Any, msg: Any, *, timeout: float | None = None) -> Any:
        """Call and await the answer; it is itself a future if the other side answered "later".

        Raises:
            UnroutableError: nobody is there.
            MessageTimeout: no answer within `timeout` seconds.
            RemoteError: the other side raised.
            RemoteCancelled: the other side cancelled it.
            DeliveryFailed: the other side closed, or died, before it answered.
        """
        answer = await self._run(self._transport.call, str(recipient_id), msg, timeout=timeout)
        return self._future(answer) if isinstance(answer, asyncio.Future) else answer

    async def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        """Call without an answer. Raises UnroutableError if nobody is there."""
        await self._run(self._transport.cast, str(recipient_id), msg)

    async def add_rpc_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> str:
        """Answer calls to `identifier` with `subscriber(communicator, msg)`, run on this loop."""
        name = uuid.uuid4().hex if identifier is None else str(identifier)

        async def handler(body: Any) -> Any:
            return await self._visit(subscriber, self, body)

        await self._run(self._transport.serve, name, handler)
        return name

    async def remove_rpc_subscriber(self, identifier: Any) -> None:
        """Stop answering. Raises ValueError if there is no such identifier."""
        await self._run(self._transport.unserve, str(identifier))

    # Broadcast

    async def broadcast_send(
        self, body: Any, sender: Any = None, subject: str | None = None, correlation_id: Any = None
    ) -> bool:
        """Send to every subscriber whose filter matches."""
        await self.broadcast_many([BroadcastMessage(body, sender, subject, correlation_id)])
        return True

    async def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send several broadcasts at once."""
        await self._run(self._transport.broadcast, [checked(message) for message in messages])

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        """Receive matching broadcasts on this loop; returns the identifier for `unsubscribe`."""
        call: BroadcastHandler = self._spawning(handler) if inspect.iscoroutinefunction(handler) else handler
        return await self._run(self._transport.subscribe, lambda message: self._cross(call, message), wanted)

    async def unsubscribe(self, identifier: str) -> None:
        """Stop receiving: on return, what has come has been handed over, and nothing more will be.

        Raises ValueError if there is no such identifier.
        """
        await self._run(self._transport.unsubscribe, identifier)

    # Crossing between this loop and the hidden one

    async def _run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run a method of the transport on its loop and await the outcome on this one."""
        if threading.get_ident() != self._home:
            self._thread.check()
            raise RuntimeError("this communicator belongs to the event loop that opened it")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        running: list[asyncio.Task[T]] = []
        self._thread.post(self._begin, outcome, running, function, args, kwargs)
        try:
            return await outcome
        except asyncio.CancelledError:
            if not self._thread.closed:
                self._thread.post(lambda: [task.cancel() for task in running])
            raise

    def _begin(
        self,
        outcome: asyncio.Future[T],
        running: list[asyncio.Task[T]],
        function: Callable[..., Coroutine[Any, Any, T]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        task = self._thread.spawn(function(*args, **kwargs))
        running.append(task)
        task.add_done_callback(lambda done: self._cross(_settle, outcome, done))

    def _cross(self, function: Callable[..., object], *args: Any) -> None:
        """From the hidden thread: call a function on the user's loop, unless that is closed."""
        if self._mailbox is None:
            return
        try:
            self._mailbox.post(function, *args)
        except RuntimeError:
            log.debug(
                "the loop of this communicator is closed; a message to it is dropped",
                communicator=self._thread.name,
            )

    async def _visit(self, function: Callable[..., Any], *args: Any) -> Any:
        """On the hidden thread: run a subscriber on the user's loop and await what it gives."""
        arrival: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def call() -> None:
            try:
                result = function(*args)
                if inspect.iscoroutine(result):
                    result = await result
                if asyncio.isfuture(result):
                    self._answer(self._follow, arrival, result)
                    return
            except BaseException as error:
                self._answer(_arrive, arrival, None, error)
                if not isinstance(error, Exception):
                    raise
            else:
                self._answer(_arrive, arrival, result, None)

        self._cross(lambda: self._spawn_here(call()))
        return await arrival

    def _answer(self, function: Callable[..., object], *args: Any) -> None:
        try:
            self._thread.post(function, *args)
        except CommunicatorClosed:
            log.debug(
                "the communicator was closed before a subscriber had answered", communicator=self._thread.name
            )

    def _follow(self, arrival: asyncio.Future[Any], future: asyncio.Future[Any]) -> None:
        """On the hidden thread: let a future of the user's loop arrive as one of this loop."""
        twin: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        _arrive(arrival, twin, None)
        self._cross(future.add_done_callback, lambda done: self._thread.post(_mirror, done, twin))

    def _future(self, value: Awaitable[Any]) -> asyncio.Future[Any]:
        """An awaitable of the hidden loop as a future of this one (nested ones too)."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def wait() -> Any:
            return await value

        def begin() -> None:
            task = self._thread.spawn(wait())
            task.add_done_callback(lambda done: self._cross(self._settle_nested, outcome, done))

        self._thread.post(begin)
        return outcome

    def _settle_nested(self, outcome: asyncio.Future[Any], done: asyncio.Task[Any]) -> None:
        _settle(outcome, done, self._future if _is_future_result(done) else None)

    def _spawning(self, function: Callable[..., Coroutine[Any, Any, None]]) -> BroadcastHandler:
        return lambda message: self._spawn_here(function(message))

    def _spawn_here(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        _KEEP.add(task)
        task.add_done_callback(_forget_loudly)


_KEEP: set[asyncio.Task[None]] = set()


def _forget_loudly(task: asyncio.Task[None]) -> None:
    _KEEP.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a subscriber failed", work=task.get_name(), error=error, exc_info=error)


def _settle(
    outcome: asyncio.Future[Any], done: asyncio.Task[Any], convert: Callable[[Any], Any] | None = None
) -> None:
    if outcome.done():
        return
    if done.cancelled():  # by `close`; to cancel the caller for that would look like his own cancellation
        outcome.set_exception(CommunicatorClosed("the communicator was closed meanwhile"))
        outcome.exception()  # he may be gone: no "never retrieved" in the log
    elif (error := done.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(convert(done.result()) if convert else done.result())


def _is_future_result(done: asyncio.Task[Any]) -> bool:
    return not done.cancelled() and done.exception() is None and isinstance(done.result(), asyncio.Future)


def _arrive(arrival: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if arrival.done():
        return
    if error is None:
        arrival.set_result(result)
    elif isinstance(error, asyncio.CancelledError):
        arrival.cancel()
    else:
        arrival.set_exception(bearable(error))


def _mirror(done: asyncio.Future[Any], twin: asyncio.Future[Any]) -> None:
    if twin.done():
        return
    if done.cancelled():
        twin.cancel()
    elif (error := done.exception()) is not None:
        twin.set_exception(bearable(error))
    else:
        twin.set_result(done.result())
