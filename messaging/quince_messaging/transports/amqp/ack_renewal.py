"""Holding tasks for longer than the broker lets a delivery stay unacknowledged.

RabbitMQ (3.8.17 to 4.2, default 30 minutes) closes a channel that holds a delivery for too long and
gives its tasks to others. So one that is held for long is renewed: a copy of the task goes to a queue of
this consumer alone, is delivered from there, and only then is the first delivery acknowledged. The copy is
renewed in the same way before its time is up.

That queue has a message TTL of a second and sends what expires to the task queue. A delivered message
does not expire; but if the consumer dies the broker puts the copy back on that queue, finds it
expired, and the task is on its queue again within milliseconds.
"""

from __future__ import annotations

import asyncio
import uuid

from pamqp import commands

from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import frames, topology
from quince_messaging.transports.amqp.channel import BrokerChannel, Receipt
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.deliveries import AmqpTask, Deliveries, Destinations
from quince_messaging.transports.amqp.frames import Delivery

log = StructuredLogger(__name__)

RENEW_AFTER = 600.0
"""Seconds that a task is held before its delivery is renewed, each time: a third of the broker's patience."""
TTL_MS = 1_000
EMPTY_FOR_MS = 600_000
"""Milliseconds after which the broker deletes the renewal queue of a consumer that is gone."""
MOVE_TIMEOUT = 15.0
_TAG = "renewed"


class AckRenewal:
    """The renewal queue of one consumer on one connection."""

    def __init__(self, queue: str, destinations: Destinations) -> None:
        self.name = f"{queue}.held.{uuid.uuid4().hex}"
        self.deliveries: Deliveries | None = None
        self._out: BrokerChannel | None = None
        self._queue = queue
        self._destinations = destinations
        self._arriving: dict[str, asyncio.Future[int]] = {}

    async def open(self, connection: BrokerConnection) -> None:
        """Declare the queue and consume it."""
        channel = await connection.channel()
        arguments = {
            "x-message-ttl": TTL_MS,
            "x-expires": EMPTY_FOR_MS,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._queue,
        }
        await topology.declare_queue(channel, self.name, arguments)
        deliveries = Deliveries(channel, self._queue, self._destinations, requeue=False)

        def arrived(about: Delivery, header: bytes, _body: bytes) -> None:
            deliveries.acks.opened(about.tag)
            waiting = self._arriving.pop(frames.read_message_id(header), None)
            if waiting is None or waiting.done():
                deliveries.acks.requeue(about.tag)
            else:
                waiting.set_result(about.tag)

        await channel.consume(self.name, _TAG, arrived, no_ack=False, exclusive=True)
        self._out = await connection.sending.channel(confirms=True)
        self.deliveries = deliveries

    async def renew(self, task: AmqpTask) -> None:
        """Hold the task by a fresh delivery. Raises MessagingError or TimeoutError: it is held as before."""
        if self.deliveries is None or self._out is None:
            raise RuntimeError("the renewal queue is not open")
        token = uuid.uuid4().hex
        arrival: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._arriving[token] = arrival
        receipt = Receipt(1)
        try:
            self._out.publish(
                "",
                self.name,
                [task.data],
                receipt=receipt,
                persistent=True,
                priority=task.priority,
                message_id=token,
            )
            async with asyncio.timeout(MOVE_TIMEOUT):
                tag, _ = await asyncio.gather(arrival, receipt.future)
        finally:
            self._arriving.pop(token, None)
        task.move(self.deliveries, tag)

    async def close(self) -> None:
        """Give everything back to the task queue, and take the renewal queue away."""
        if self.deliveries is None:
            return
        deliveries, self.deliveries = self.deliveries, None
        for task in list(deliveries.tasks.values()):
            task.requeue()
        deliveries.acks.flush()
        if self._out is not None:
            await self._out.close()
        if deliveries.channel.usable:
            await deliveries.channel.rpc(
                commands.Queue.Delete(queue=self.name, if_empty=False, if_unused=False)
            )
            await deliveries.channel.close()
