"""The deliveries of one channel, and the tasks in them until they are settled."""

from __future__ import annotations

import asyncio
import functools
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pamqp import commands

from quince_messaging.limits import MAX_PRIORITY
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp.acks import Acks
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.frames import NO_HEADER, has_headers, read_priority
from quince_messaging.transports.amqp.session import Session
from quince_messaging.wire.envelope import Address, Reply, Task
from quince_messaging.wire.tasks import DeliveredTask, Settlement, read_task

log = StructuredLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where the outcome of a task can go, besides back to its queue."""

    session: Session
    reply: Callable[[Address, Reply], None]
    dead_letter: Callable[..., Awaitable[None]]


class AmqpTask(DeliveredTask):
    """A task of a consumer here until it is settled, on the transport's loop."""

    __slots__ = ("_deliveries", "_open", "_tag", "data", "priority", "since")

    def __init__(
        self, task: Task, deliveries: Deliveries, tag: int, data: bytes, *, redelivered: bool, priority: int
    ) -> None:
        super().__init__(task, redelivered=redelivered)
        self.data = data
        self.priority = priority
        self.since = asyncio.get_running_loop().time()
        self._deliveries = deliveries
        self._tag = tag
        self._open = True

    def settle(self, how: Settlement | None, reply: Reply | None = None, reason: str = "") -> None:
        if not self._open:
            return
        deliveries = self._deliveries
        if how is not None:
            self._open = False
            deliveries.tasks.pop(self._tag, None)
            deliveries.on_settled()
        if reply is not None and self.reply_to is not None:
            deliveries.reply(self.reply_to, reply)
        if how is Settlement.DONE:
            deliveries.acks.ack(self._tag)
        elif how is Settlement.REQUEUED:
            deliveries.acks.requeue(self._tag)
        elif how is Settlement.DEAD_LETTERED:
            deliveries.dead_letter(self._tag, self.data, self.priority, reason)

    def move(self, deliveries: Deliveries, tag: int) -> None:
        """Held by another delivery of the same message from now on; the old one is acknowledged.

        A task that was settled meanwhile needs the other delivery no more than the first.
        """
        if not self._open:
            deliveries.acks.ack(tag)
            return
        self._deliveries.tasks.pop(self._tag, None)
        self._deliveries.acks.ack(self._tag)
        self._deliveries, self._tag = deliveries, tag
        self.since = asyncio.get_running_loop().time()
        deliveries.tasks[tag] = self


class Deliveries:
    """The channel on which tasks were delivered; what is settled after it died goes nowhere.

    Attributes:
        tasks: Those not settled, by delivery tag, the oldest first.
    """

    def __init__(
        self, channel: BrokerChannel, queue: str, destinations: Destinations, *, requeue: bool = True
    ) -> None:
        self.channel = channel
        self.acks = Acks(channel, requeue=requeue)
        self.reply = destinations.reply
        self.tasks: dict[int, AmqpTask] = {}
        self.on_settled: Callable[[], None] = lambda: None
        self._queue = queue
        self._destinations = destinations

    def received(
        self, tag: int, redelivered: bool, header: bytes, data: bytes, priority: int | None = None
    ) -> AmqpTask | None:
        """The task in a message; None if nobody can read it (then it is dead-lettered)."""
        self.acks.opened(tag)
        if priority is None:
            priority = _priority_of(header)
        message = read_task(
            data,
            self._queue,
            dead_letter=functools.partial(self.dead_letter, tag, data, priority),
            requeue=functools.partial(self.acks.requeue, tag),
        )
        if message is None:
            return None
        redelivered = redelivered or has_headers(header)
        task = self.tasks[tag] = AmqpTask(
            message, self, tag, data, redelivered=redelivered, priority=priority
        )
        return task

    def dead_letter(self, tag: int, data: bytes, priority: int, reason: str) -> None:
        """Move a message to the dead letters; it goes back if that fails."""
        self._destinations.session.spawn(self._dead_letter(tag, data, priority, reason))

    async def _dead_letter(self, tag: int, data: bytes, priority: int, reason: str) -> None:
        try:
            await self._destinations.dead_letter(
                data, origin=self._queue, reason=reason, priority=min(priority, MAX_PRIORITY)
            )
        except Exception as error:
            log.warning(
                "a task could not be dead-lettered (%(error)r); it is delivered again",
                queue=self._queue,
                error=error,
            )
            self.acks.requeue(tag)
        else:
            self.acks.ack(tag)


class Puller:
    """Takes single tasks off a queue (`basic.get`), on a channel of its own."""

    def __init__(self, channel: BrokerChannel, queue: str, destinations: Destinations) -> None:
        self._deliveries = Deliveries(channel, queue, destinations)
        self._queue = queue

    @property
    def usable(self) -> bool:
        return self._deliveries.channel.usable

    async def pull(self) -> AmqpTask | None:
        """The next task that can be read; None if there is none now."""
        while (message := await self._deliveries.channel.get(self._queue)) is not None:
            delivery = message.delivery
            if not isinstance(delivery, commands.Basic.GetOk) or not delivery.delivery_tag:
                break
            task = self._deliveries.received(
                delivery.delivery_tag,
                bool(delivery.redelivered),
                NO_HEADER,
                bytes(message.body),
                message.header.properties.priority or 0,
            )
            if task is not None:
                return task
        return None


def _priority_of(header: bytes) -> int:
    """As read from a header; 0 if that makes no sense."""
    try:
        return read_priority(header)
    except (IndexError, struct.error):
        return 0
