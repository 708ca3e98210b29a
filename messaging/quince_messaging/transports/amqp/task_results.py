"""Where the results of tasks come in.

A call fails when its link does; a task goes on, and so must the way of its result. So results come to a
durable queue of the communicator's own, which outlives its link, and leave it when they have been read.
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
        self._lane: BrokerChannel | None = None
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
                link = await self._session.ready()
                if not self._opened:  # a new link may have brought it
                    await self._open(link)

    async def restore(self, link: BrokerConnection) -> None:
        """Go on reading on a new link."""
        if self._wanted:
            await self._open(link)

    async def farewell(self) -> None:
        """Nobody waits for results any more."""
        if self._lane is not None and self._lane.usable:
            await self._lane.rpc(commands.Queue.Delete(queue=self._queue))

    async def _open(self, link: BrokerConnection) -> None:
        lane = await link.lane(prefetch=PREFETCH)
        settlements = Acks(lane)
        await topology.declare_answers(lane, self._queue)
        await topology.bind(lane, self._queue, self._names.rpc, [topology.inbox_key(self._inbox)])

        def received(about: Delivery, header: bytes, body: bytes) -> None:
            settlements.opened(about.tag)
            try:
                self._read(about, header, body)
            finally:  # one that is not settled would be kept from the count of those that may come
                settlements.ack(about.tag)

        await lane.consume(self._queue, "answers", received, no_ack=False)
        lane.on_closed = lambda error: self._session.broken(
            link, f"the channel for the results of tasks was closed ({error!r})"
        )
        lane.on_cancelled = lambda _tag: self._session.broken(
            link, "the queue for the results of tasks was deleted"
        )
        self._lane = lane
        self._opened = True
