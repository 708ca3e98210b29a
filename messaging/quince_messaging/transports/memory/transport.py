"""One communicator on a hub of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from quince_messaging.contract import (
    EVERYTHING,
    BroadcastHandler,
    BroadcastMessage,
    DeadLetter,
    LinkState,
    RpcHandler,
    SubjectFilter,
    TaskBatchCallback,
    TaskConsumer,
    TaskHandle,
    Transport,
)
from quince_messaging.errors import CommunicatorClosed, ConnectionFailed, ReconnectingError, UnroutableError
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.transports.memory.delivery import MemoryConsumer, MemoryTask, readable
from quince_messaging.transports.memory.hub import Hub
from quince_messaging.wire.broadcasts import hand_over, in_envelopes
from quince_messaging.wire.calls import Answering, PendingCalls, error_reply, in_time
from quince_messaging.wire.envelope import Address, Broadcasts, Call, Replies, Task, decode, encode
from quince_messaging.wire.filters import Subscriptions


class MemoryTransport(Transport):
    """One communicator on a named hub of this process."""

    def __init__(self, name: str, *, prefix: str = "quince") -> None:
        super().__init__()
        self._name = name
        self._key = f"{name}\0{prefix}"
        self._inbox = ""
        self._hub: Hub | None = None
        self._handlers: dict[str, RpcHandler] = {}
        self._calls = PendingCalls()
        self._subscriptions: Subscriptions[BroadcastHandler] = Subscriptions()
        self._consumers: set[MemoryConsumer] = set()
        self._pulled: set[MemoryTask] = set()
        self._answering: Answering
        self._mailbox: LoopMailbox

    async def open(self) -> None:
        if Hub.is_away(self._name):
            raise ConnectionFailed(f"memory://{self._name} is away")
        self._mailbox = LoopMailbox(asyncio.get_running_loop())
        self._hub, self._inbox = Hub.join(self._key, self._post)
        self._answering = Answering(self._hub.reply)
        self.enter(LinkState.CONNECTED)

    async def close(self) -> None:
        if self._hub is None:
            return
        hub, self._hub = self._hub, None
        for task in list(self._pulled):
            task.requeue()
        for consumer in list(self._consumers):
            consumer.stop()
        hub.leave(self._key, self._inbox, list(self._handlers))
        self._calls.close()
        await self._answering.close()
        self.enter(LinkState.CLOSED)

    # Task queue

    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        self._connected.put(queue, priority, [encode(Task(body)) for body in bodies])

    async def call_task(self, body: Any, *, queue: str, priority: int = 0) -> Awaitable[Any]:
        number, future = self._calls.ask()
        self._connected.put(queue, priority, [encode(Task(body, Address(self._inbox, number)))])
        return future

    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> TaskConsumer:
        hub = self._connected
        consumer = MemoryConsumer(self._mailbox, hub, queue, deliver, prefetch, self._consumers.discard)
        self._consumers.add(consumer)
        await consumer.resume()
        return consumer

    async def pull(self, *, queue: str) -> TaskHandle | None:
        hub = self._connected
        while (entry := hub.take(queue)) is not None:
            task = readable(hub, queue, entry, self._pulled.discard)
            if task is not None:
                self._pulled.add(task)
                return task
        return None

    async def queue_size(self, *, queue: str) -> int:
        return self._connected.size(queue)

    async def purge(self, *, queue: str) -> int:
        return self._connected.purge(queue)

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetter]:
        return self._connected.dead[:limit]

    async def revive(self, *, queue: str | None = None) -> int:
        return self._connected.revive(queue)

    # RPC

    async def call(self, identifier: str, body: Any, *, timeout: float | None) -> Any:
        return await in_time(await self.ask(identifier, body), identifier, timeout)

    async def ask(self, identifier: str, body: Any, *, routed: bool = True) -> Awaitable[Any]:
        number, future = self._calls.ask()
        try:
            self._connected.call(identifier, encode(Call(identifier, body, Address(self._inbox, number))))
        except BaseException:
            future.cancel()
            raise
        return future

    async def cast(self, identifier: str, body: Any) -> None:
        self._connected.call(identifier, encode(Call(identifier, body)))

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        self._connected.serve(identifier, self._post)
        self._handlers[identifier] = handler

    async def unserve(self, identifier: str) -> None:
        if identifier not in self._handlers:
            raise ValueError(f"no RPC subscriber {identifier!r}")
        del self._handlers[identifier]
        self._connected.unserve(identifier)

    # Broadcast

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        hub = self._connected
        for envelope in in_envelopes(messages):
            hub.broadcast(encode(envelope))

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        _ = self._connected
        return self._subscriptions.add(handler, wanted)

    async def unsubscribe(self, identifier: str) -> None:
        self._subscriptions.remove(identifier)

    def _post(self, data: bytes) -> bool:
        try:
            self._mailbox.post(self.receive, data)
        except RuntimeError:
            return False
        return True

    def receive(self, data: bytes) -> None:
        """On this transport's loop: a call, answers, or broadcasts have come."""
        message = decode(data)
        if isinstance(message, Call):
            self._serve_call(message)
        elif isinstance(message, Replies):
            for reply in message.replies:
                self._calls.settle(reply)
        elif isinstance(message, Broadcasts):
            hand_over(message, self._subscriptions)

    @property
    def _connected(self) -> Hub:
        if self._hub is None:
            raise CommunicatorClosed("the communicator is closed; open a new one")
        if Hub.is_away(self._name):
            raise ReconnectingError(f"the broker memory://{self._name} is away just now")
        return self._hub

    def _serve_call(self, call: Call) -> None:
        handler = self._handlers.get(call.identifier)
        if handler is not None:
            self._answering.begin(handler, call)
        elif call.reply_to is not None and self._hub is not None:
            nobody = UnroutableError(f"nobody listens at {call.identifier!r} any more")
            self._hub.reply(call.reply_to, error_reply(call.reply_to.call, nobody))
