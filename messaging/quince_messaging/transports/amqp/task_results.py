"""Where the results of tasks come in.

A call fails when its connection does; a task goes on, and so must the way of its result. So results come to a
durable queue of the communicator's own, which outlives its connection, and leave it when they have been read.
Communicators that ask for no results have none.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from pamqp import commands

from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.acks import Acks
from quince_messaging.transports.amqp.channel import BrokerChannel, OnDelivery
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.frames import Delivery
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import Names
from quince_messaging.wire.calls import PendingCalls
from quince_messaging.wire.envelope import Address

PREFETCH = 1_000


class TaskResults:
    """The results that one communicator waits for.

    Args:
        read: Reads answers, as it does those to calls.
    """

    def __init__(self, session: Session, names: Names, pending: PendingCalls, read: OnDelivery) -> None:
        self._session = session
        self._names = names
        self._pending = pending
        self._read = read
        self._inbox = uuid.uuid4().hex
        self._queue = names.answers(self._inbox)
        self._channel: BrokerChannel | None = None
        self._opening = asyncio.Lock()
        self._wanted = False
        self._opened = False

    def expect(self) -> tuple[Address, asyncio.Future[Any]]:
        """An address for a result, and the future of that result; `ready` comes before its task is sent."""
        self._wanted = True
        number, future = self._pending.ask()
        return Address(self._inbox, number), future

    async def ready(self) -> None:
        """Have a place for results, if one is wanted. Those who wait for it go on in the order they came."""
        if self._wanted and not self._opened:
            async with self._opening:
                connection = await self._session.ready()
                if not self._opened:  # a new connection may have brought it
                    await self._open(connection)

    async def restore(self, connection: BrokerConnection) -> None:
        """Go on reading on a new connection."""
        if self._wanted:
            await self._open(connection)

    async def before_close(self) -> None:
        """Nobody waits for results any more."""
        if self._channel is not None and self._channel.usable:
            await self._channel.rpc(commands.Queue.Delete(queue=self._queue))

    async def _open(self, connection: BrokerConnection) -> None:
        channel = await connection.channel(prefetch=PREFETCH)
        acks = Acks(channel)
        await topology.declare_queue(channel, self._queue, {"x-expires": topology.ANSWERS_KEPT})
        await topology.bind(channel, self._queue, self._names.rpc, [topology.inbox_key(self._inbox)])

        def received(about: Delivery, header: bytes, body: bytes) -> None:
            acks.opened(about.tag)
            try:
                self._read(about, header, body)
            finally:  # one that is not settled would be kept from the count of those that may come
                acks.ack(about.tag)

        await channel.consume(self._queue, "answers", received, no_ack=False)
        channel.on_closed = lambda error: self._session.broken(
            connection, f"the channel for the results of tasks was closed ({error!r})"
        )
        channel.on_cancelled = lambda _tag: self._session.broken(
            connection, "the queue for the results of tasks was deleted"
        )
        self._channel = channel
        self._opened = True
