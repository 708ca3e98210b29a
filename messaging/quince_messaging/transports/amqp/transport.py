"""The transport for `amqp://` and `amqps://`."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from quince_messaging.contract import (
    EVERYTHING,
    BroadcastHandler,
    BroadcastMessage,
    DeadLetter,
    RpcHandler,
    SubjectFilter,
    TaskBatchCallback,
    TaskConsumer,
    TaskHandle,
    Transport,
)
from quince_messaging.errors import InvalidUri
from quince_messaging.transports.amqp.ack_renewal import RENEW_AFTER
from quince_messaging.transports.amqp.broadcast import Broadcasting
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.dead_letters import DeadLetters
from quince_messaging.transports.amqp.rpc import Rpc
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.tasks import TaskQueues
from quince_messaging.transports.amqp.topology import Names
from quince_messaging.uri import DEFAULT_PREFIX, BrokerUri
from quince_messaging.wire.calls import in_time


class AmqpTransport(Transport):
    """RabbitMQ, stock, 3.10 to 4.x.

    The query of the URI may hold what aio-pika takes (`heartbeat`, `timeout`, `cafile`, `certfile`,
    `keyfile`, ...), and `renew_after`: seconds that a task is held before its delivery is renewed, which
    must be well below the broker's acknowledgement timeout (30 minutes unless somebody changed it).
    """

    def __init__(self, uri: BrokerUri, *, prefix: str = DEFAULT_PREFIX) -> None:
        super().__init__()
        names = Names(prefix)
        renew_after = _seconds(uri, "renew_after", RENEW_AFTER)
        self._session = Session(
            uri,
            f"{prefix} {socket.gethostname()}:{os.getpid()}",
            restore=self._restore,
            before_close=self._before_close,
            enter=self.enter,
        )
        self._rpc = Rpc(self._session, names)
        self._dead = DeadLetters(self._session, names)
        self._tasks = TaskQueues(self._session, names, self._rpc, self._dead, renew_after)
        self._broadcasting = Broadcasting(self._session, names)

    def troubles(self) -> list[str]:
        return self._session.side.sentences()

    @property
    def server_properties(self) -> dict[str, Any]:
        return dict(self._session.server)

    async def open(self) -> None:
        await self._session.open()

    async def close(self) -> None:
        self._rpc.calls.pending.close()
        await self._rpc.stop()
        await self._session.close()
        self._rpc.calls.pending.close()

    async def _restore(self, connection: BrokerConnection) -> None:
        await self._tasks.restore(connection)
        await self._rpc.restore(connection)
        await self._broadcasting.restore(connection)
        await self._tasks.restore_consumers(connection)

    async def _before_close(self, connection: BrokerConnection) -> None:
        """Take the inboxes away before the connection, so that callers see at once that we are gone."""
        await self._rpc.before_close()
        await self._tasks.before_close()

    # Task queue

    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        await self._tasks.send(bodies, queue=queue, priority=priority)

    async def call_task(self, body: Any, *, queue: str, priority: int = 0) -> Awaitable[Any]:
        return await self._tasks.call(body, queue=queue, priority=priority)

    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> TaskConsumer:
        return await self._tasks.consume(deliver, queue=queue, prefetch=prefetch)

    async def pull(self, *, queue: str) -> TaskHandle | None:
        return await self._tasks.pull(queue=queue)

    async def queue_size(self, *, queue: str) -> int:
        return await self._tasks.size(queue=queue)

    async def purge(self, *, queue: str) -> int:
        return await self._tasks.purge(queue=queue)

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetter]:
        return await self._dead.look(limit)

    async def revive(self, *, queue: str | None = None) -> int:
        return await self._dead.revive(queue)

    # RPC

    async def call(self, identifier: str, body: Any, *, timeout: float | None) -> Any:
        answer = await self._rpc.calls.ask(identifier, body, routed=False)
        return await in_time(answer, identifier, timeout)

    async def ask(self, identifier: str, body: Any, *, routed: bool = True) -> Awaitable[Any]:
        return await self._rpc.calls.ask(identifier, body, routed=routed)

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        return self._rpc.calls.ask_at_once(identifier, body)

    def ask_here(self, identifier: str, body: Any, attend: Callable[[asyncio.Future[Any]], None]) -> bool:
        return self._rpc.calls.ask_here(identifier, body, attend)

    async def cast(self, identifier: str, body: Any) -> None:
        await self._rpc.calls.cast(identifier, body)

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        await self._rpc.serve(identifier, handler)

    async def unserve(self, identifier: str) -> None:
        await self._rpc.unserve(identifier)

    # Broadcast

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        await self._broadcasting.broadcast(messages)

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        return await self._broadcasting.subscribe(handler, wanted)

    async def unsubscribe(self, identifier: str) -> None:
        await self._broadcasting.unsubscribe(identifier)


def _seconds(uri: BrokerUri, option: str, default: float) -> float:
    text = uri.options.get(option)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds < float("inf"):
        raise InvalidUri(f"{uri.shown}: {option} is {text!r}, not a number of seconds")
    return seconds
