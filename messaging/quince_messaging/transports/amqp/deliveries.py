"""Tasks in the hands of a consumer, until they are settled."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pamqp import commands

from quince_messaging.errors import MessagingError, UnreadableMessage
from quince_messaging.limits import MAX_PRIORITY
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp.acks import Acks
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.frames import NO_HEADER, has_headers, read_priority
from quince_messaging.transports.amqp.session import Session
from quince_messaging.wire.calls import error_reply
from quince_messaging.wire.envelope import Address, Reply, Status, Task, decode

log = StructuredLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where the outcome of a task can go, besides back to its queue."""

    session: Session
    reply: Callable[[Address, Reply], None]
    dead_letter: Callable[..., Awaitable[None]]


class DeliveredTask:
    """A task held by this consumer until it is settled. Settled on the transport's loop."""

    __slots__ = (
        "_deliveries",
        "_open",
        "_reply_to",
        "_tag",
        "body",
        "data",
        "priority",
        "redelivered",
        "since",
    )

    def __init__(
        self, deliveries: Deliveries, tag: int, redelivered: bool, header: bytes, data: bytes
    ) -> None:
        self._deliveries = deliveries
        self._tag = tag
        self._open = True
        self.data = data
        self.since = asyncio.get_running_loop().time()
        self.priority = _priority_of(header)
        self._reply_to: Address | None = None
        self.redelivered = redelivered
        self.body: Any = None

    def read(self) -> None:
        """Decode the message. Raises UnreadableMessage."""
        message = decode(self.data)
        if not isinstance(message, Task):
            raise UnreadableMessage(f"a {type(message).__name__} where a task belongs")
        self.body = message.body
        self._reply_to = message.reply_to

    @property
    def no_reply(self) -> bool:
        return self._reply_to is None

    def ack(self, result: Any = None) -> None:
        if self._close():
            self._answer(Status.RESULT, result)
            self._deliveries.settlements.ack(self._tag)

    def fail(self, error: BaseException) -> None:
        if self._close():
            if self._reply_to is not None:
                self._deliveries.reply(self._reply_to, error_reply(0, error))
            self._deliveries.settlements.ack(self._tag)

    def later(self) -> None:
        """Tell the sender that its result is on the way (its future gets a future)."""
        if self._open:
            self._answer(Status.PENDING, None)

    def requeue(self) -> None:
        if self._close():
            self._deliveries.settlements.requeue(self._tag)

    def dead_letter(self, reason: str) -> None:
        if self._close():
            self._deliveries.dead_letter(self, reason, self._tag)
            if self._reply_to is not None:
                error = MessagingError(f"dead-lettered: {reason}")
                self._deliveries.reply(self._reply_to, error_reply(0, error))

    def move(self, deliveries: Deliveries, tag: int) -> None:
        """Held by another delivery of the same message from now on; the old one is acknowledged.

        A task that was settled meanwhile needs the other delivery no more than the first.
        """
        if not self._open:
            deliveries.settlements.ack(tag)
            return
        self._deliveries.release(self._tag)
        self._deliveries.settlements.ack(self._tag)
        self._deliveries, self._tag = deliveries, tag
        self.since = asyncio.get_running_loop().time()
        deliveries.tasks[tag] = self

    def _answer(self, status: Status, body: Any) -> None:
        if self._reply_to is not None:
            self._deliveries.reply(self._reply_to, Reply(0, status, body))

    def _close(self) -> bool:
        was, self._open = self._open, False
        if was:
            self._deliveries.release(self._tag)
            self._deliveries.on_settled()
        return was


class Deliveries:
    """The channel on which tasks were delivered; what is settled after it died goes nowhere.

    Attributes:
        tasks: Those not settled, by delivery tag, the oldest first.
    """

    def __init__(
        self, channel: BrokerChannel, queue: str, destinations: Destinations, *, requeue: bool = True
    ) -> None:
        self.channel = channel
        self.settlements = Acks(channel, requeue=requeue)
        self.reply = destinations.reply
        self.tasks: dict[int, DeliveredTask] = {}
        self.on_settled: Callable[[], None] = lambda: None
        self._queue = queue
        self._destinations = destinations

    def received(
        self, tag: int, redelivered: bool, header: bytes, data: bytes, priority: int | None = None
    ) -> DeliveredTask | None:
        """The task in a message; None if nobody can read it (then it is dead-lettered)."""
        self.settlements.opened(tag)
        task = DeliveredTask(self, tag, redelivered or has_headers(header), header, data)
        if priority is not None:  # of a message that came without its header's bytes
            task.priority = priority
        try:
            task.read()
        except UnreadableMessage as error:
            log.warning(
                "%(queue)s: a message cannot be read and is dead-lettered: %(error)s",
                queue=self._queue,
                error=error,
            )
            self.dead_letter(task, str(error), tag)
            return None
        except Exception:  # no memory, say: not the message's fault
            log.exception("%(queue)s: a message could not be taken, and goes back", queue=self._queue)
            self.settlements.requeue(tag)
            return None
        self.tasks[tag] = task
        return task

    def release(self, tag: int) -> None:
        """A task is settled, or held elsewhere."""
        self.tasks.pop(tag, None)

    def dead_letter(self, task: DeliveredTask, reason: str, tag: int) -> None:
        self._destinations.session.spawn(self._dead_letter(task, reason, tag))

    async def _dead_letter(self, task: DeliveredTask, reason: str, tag: int) -> None:
        try:
            await self._destinations.dead_letter(
                task.data, origin=self._queue, reason=reason, priority=min(task.priority, MAX_PRIORITY)
            )
        except Exception as error:
            log.warning(
                "a task could not be dead-lettered (%(error)r); it is delivered again",
                queue=self._queue,
                error=error,
            )
            self.settlements.requeue(tag)
        else:
            self.settlements.ack(tag)


class Puller:
    """Takes single tasks off a queue (`basic.get`), on a channel of its own."""

    def __init__(self, channel: BrokerChannel, queue: str, destinations: Destinations) -> None:
        self._deliveries = Deliveries(channel, queue, destinations)
        self._queue = queue

    @property
    def usable(self) -> bool:
        return self._deliveries.channel.usable

    async def pull(self) -> DeliveredTask | None:
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
