"""The awaitable face: a communicator for coroutines, its transport on the hidden thread."""

from __future__ import annotations

import asyncio
import functools
import inspect
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any, Self, TypeVar

from quince_messaging.clients.loop_bridge import LoopBridge
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.clients.task_proxy import ConsumerProxy, Handover, TaskProxy
from quince_messaging.contract import (
    DEFAULT_QUEUE,
    EVERYTHING,
    AsyncCommunicator,
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
from quince_messaging.limits import check_prefetch, check_priority, check_queue
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.broadcasts import checked

log = StructuredLogger(__name__)
T = TypeVar("T")


class AwaitableCommunicator(AsyncCommunicator):
    """Task queue, RPC and broadcast for coroutines.

    Opened by `async with` or `open()`; from then on it belongs to the loop that opened it: every
    method is called there, and subscribers (functions or coroutine functions) run there.
    """

    def __init__(self, transport: Transport, name: str = "quince-messages") -> None:
        self._thread = LoopThread(transport, name)
        self._transport = transport
        self._bridge = LoopBridge(self._thread)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def state(self) -> LinkState:
        """Where the link to the broker stands."""
        return self._transport.state

    def troubles(self) -> list[str]:
        return self._transport.troubles()

    def on_link(self, listener: LinkListener) -> None:
        self._transport.on_link(functools.partial(self._bridge.post, listener))

    async def open(self) -> None:
        """Connect. Raises ConnectionFailed."""
        self._bridge.open()
        try:
            await asyncio.wrap_future(self._thread.start())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await asyncio.shield(asyncio.wrap_future(self._thread.close()))

    # Task queue

    async def send_tasks(
        self, bodies: Sequence[Any], *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> None:
        check_queue(queue)
        check_priority(priority)
        await self._bridge.run(self._transport.send_tasks, bodies, queue=queue, priority=priority)

    async def task_send(
        self, task: Any, no_reply: bool = False, *, queue: str = DEFAULT_QUEUE, priority: int = 0
    ) -> Awaitable[Any] | None:
        if no_reply:
            await self.send_tasks([task], queue=queue, priority=priority)
            return None
        check_queue(queue)
        check_priority(priority)
        return self._bridge.future(
            await self._bridge.run(self._transport.call_task, task, queue=queue, priority=priority)
        )

    async def consume(
        self, deliver: TaskBatchCallback, *, queue: str = DEFAULT_QUEUE, prefetch: int = 1
    ) -> TaskConsumer:
        check_queue(queue)
        check_prefetch(prefetch)

        hand_over = Handover(deliver, queue)

        def arrived(tasks: Sequence[TaskHandle]) -> None:
            self._bridge.post(hand_over, [TaskProxy(task, self._thread) for task in tasks])

        consumer = await self._bridge.run(self._transport.consume, arrived, queue=queue, prefetch=prefetch)
        return ConsumerProxy(consumer, self._bridge.run)

    async def pull(self, *, queue: str = DEFAULT_QUEUE) -> TaskHandle | None:
        check_queue(queue)
        task = await self._bridge.run(self._transport.pull, queue=queue)
        return None if task is None else TaskProxy(task, self._thread)

    async def queue_size(self, *, queue: str = DEFAULT_QUEUE) -> int:
        check_queue(queue)
        return await self._bridge.run(self._transport.queue_size, queue=queue)

    async def purge(self, *, queue: str = DEFAULT_QUEUE) -> int:
        check_queue(queue)
        return await self._bridge.run(self._transport.purge, queue=queue)

    async def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._bridge.run(self._transport.dead_letters, limit=limit)

    async def revive(self, *, queue: str | None = None) -> int:
        return await self._bridge.run(self._transport.revive, queue=queue)

    # RPC

    async def rpc_send(self, recipient_id: Any, msg: Any, *, timeout: float | None = None) -> Any:
        answer = await self._bridge.run(self._transport.call, str(recipient_id), msg, timeout=timeout)
        return self._bridge.future(answer) if isinstance(answer, asyncio.Future) else answer

    async def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        await self._bridge.run(self._transport.cast, str(recipient_id), msg)

    async def add_rpc_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> str:
        name = uuid.uuid4().hex if identifier is None else str(identifier)

        async def handler(body: Any) -> Any:
            return await self._bridge.call_subscriber(subscriber, self, body)

        await self._bridge.run(self._transport.serve, name, handler)
        return name

    async def remove_rpc_subscriber(self, identifier: Any) -> None:
        await self._bridge.run(self._transport.unserve, str(identifier))

    # Broadcast

    async def broadcast_send(
        self, body: Any, sender: Any = None, subject: str | None = None, correlation_id: Any = None
    ) -> bool:
        await self.broadcast_many([BroadcastMessage(body, sender, subject, correlation_id)])
        return True

    async def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        await self._bridge.run(self._transport.broadcast, [checked(message) for message in messages])

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        bridge = self._bridge
        call = bridge.spawning(handler) if inspect.iscoroutinefunction(handler) else handler
        return await bridge.run(self._transport.subscribe, lambda message: bridge.post(call, message), wanted)

    async def unsubscribe(self, identifier: str) -> None:
        await self._bridge.run(self._transport.unsubscribe, identifier)
