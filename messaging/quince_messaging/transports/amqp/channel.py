"""One channel: its load frames handled here, its declarations through aio-pika."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import aiormq
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp import commands

from quince_messaging.errors import DeliveryFailed, ReconnectingError, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import frames
from quince_messaging.transports.amqp.driver import ask_driver
from quince_messaging.transports.amqp.frames import Delivery, Returned

log = StructuredLogger(__name__)

RPC_TIMEOUT = 15.0
"""Seconds that the broker may take for a declaration before its channel is thrown away."""

OnDelivery = Callable[[Delivery, bytes, bytes], None]
"""Called with the method, the content header and the body of each message."""


class OwningConnection(Protocol):
    """What a channel needs of its connection."""

    frame_max: int

    @property
    def alive(self) -> bool: ...

    def write(self, data: bytes) -> None: ...

    def write_here(self, data: bytes) -> bool: ...

    def flush(self) -> None: ...

    def forget(self, channel: BrokerChannel) -> None: ...


class Receipt:
    """What the broker says to a group of messages: the future ends when it has taken them all."""

    __slots__ = ("future", "open")

    def __init__(self, count: int) -> None:
        self.open = count
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def taken(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.future.done():
            self.future.set_result(None)

    def refused(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # nobody may be waiting any more


class BrokerChannel:
    """A channel of a connection.

    Published messages are confirmed in groups (`Receipt`), or, on a channel without confirms, only told of
    by `on_returned` if nobody listens; deliveries are handed to their consumer as they are read. When the
    channel dies, by itself or with its connection, open receipts are refused and `on_closed` is called once.
    """

    def __init__(self, connection: OwningConnection, driver: Channel, *, confirms: bool) -> None:
        self.number = driver.number
        self._driver = driver
        self.on_closed: Callable[[BaseException | None], None] = lambda _error: None
        self.on_cancelled: Callable[[str], None] = lambda _consumer: None
        self.on_returned: Callable[[bytes], None] = lambda _body: None
        self._connection = connection
        self._confirms = confirms
        self._sequence = 0
        self._unconfirmed: dict[int, Receipt] = {}
        self._returned: dict[int, Returned] = {}
        self._methods: dict[tuple[str, str, bool], bytes] = {}
        self._consumers: dict[str, OnDelivery] = {}
        self._content: Delivery | Returned | None = None
        self._header = b""
        self._body: list[bytes] = []
        self._missing = 0
        self._open = True
        driver.closing.add_done_callback(self._channel_closed)

    @property
    def usable(self) -> bool:
        return self._open and self._connection.alive

    # Sending

    def publish(
        self,
        exchange: str,
        routing_key: str,
        bodies: Iterable[bytes],
        *,
        receipt: Receipt | None = None,
        mandatory: bool = False,
        persistent: bool = False,
        priority: int = 0,
        headers: tuple[tuple[str, bytes], ...] = (),
        message_id: str = "",
    ) -> None:
        """Send messages; on a confirming channel the receipt is told what became of each."""
        if not self.usable:
            raise DeliveryFailed("the connection to the broker is gone")
        method = self._method(exchange, routing_key, mandatory)
        limit = self._connection.frame_max
        packed = frames.properties(
            persistent=persistent, priority=priority, headers=headers, message_id=message_id
        )
        out: list[bytes] = []
        for body in bodies:
            if self._confirms:
                self._sequence += 1
                if receipt is not None:
                    self._unconfirmed[self._sequence] = receipt
                if mandatory:
                    packed = frames.properties(
                        persistent=persistent,
                        priority=priority,
                        headers=headers,
                        message_id=str(self._sequence),
                    )
            out += (method, frames.content(self.number, packed, body, limit))
        self._connection.write(b"".join(out))

    def publish_here(self, exchange: str, routing_key: str, body: bytes, *, mandatory: bool = False) -> bool:
        """From any thread, on a channel without confirms: send one message now, if nothing else waits."""
        if not self.usable:
            return False
        method = self._method(exchange, routing_key, mandatory)
        content = frames.content(self.number, frames.properties(), body, self._connection.frame_max)
        return self._connection.write_here(method + content)

    def write(self, data: bytes) -> None:
        """Send whole frames of this channel."""
        if self.usable:
            self._connection.write(data)

    def flush(self) -> None:
        """Send what was written in this turn of the loop, without waiting for its end."""
        if self.usable:
            self._connection.flush()

    # Receiving

    async def consume(
        self,
        queue: str,
        consumer: str,
        on_delivery: OnDelivery,
        *,
        no_ack: bool,
        exclusive: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Start a consumer."""
        self._consumers[consumer] = on_delivery
        await self.rpc(
            commands.Basic.Consume(
                queue=queue, consumer_tag=consumer, no_ack=no_ack, exclusive=exclusive, arguments=arguments
            )
        )

    async def cancel(self, consumer: str) -> None:
        """Stop a consumer; what it holds stays unacknowledged on this channel."""
        await self.rpc(commands.Basic.Cancel(consumer_tag=consumer))

    async def rpc(self, method: Any) -> Any:
        """Send a method that the broker answers. A channel that gets no answer is closed."""
        return await ask_driver(self._driver.rpc(method), RPC_TIMEOUT)

    async def qos(self, prefetch: int) -> None:
        """How many unacknowledged messages consumers started from now on may hold, each."""
        await ask_driver(self._driver.basic_qos(prefetch_count=prefetch), RPC_TIMEOUT)

    async def get(self, queue: str) -> DeliveredMessage | None:
        """Take one message by hand; None if there is none now."""
        if not self.usable:
            raise DeliveryFailed("the connection to the broker is gone")
        message = await ask_driver(self._driver.basic_get(queue), RPC_TIMEOUT)
        return message if isinstance(message.delivery, commands.Basic.GetOk) else None

    async def close(self) -> None:
        """Close the channel; the broker requeues what was unacknowledged on it."""
        if not self._open:
            return
        self._connection.flush()
        try:
            await ask_driver(self._driver.close(), RPC_TIMEOUT)
        except (TimeoutError, DeliveryFailed, aiormq.AMQPError, RuntimeError) as error:
            log.debug(
                "channel %(channel)s did not close in order: %(error)r", channel=self.number, error=error
            )
        finally:
            self.shut(None)

    def shut(self, error: BaseException | None) -> None:
        """The channel is gone: refuse what is open, and tell the owner. Once."""
        if not self._open:
            return
        self._open = False
        self._connection.forget(self)
        refused, self._unconfirmed = self._unconfirmed, {}
        for receipt in set(refused.values()):
            receipt.refused(DeliveryFailed(f"the connection was lost before the broker confirmed: {error!r}"))
        self.on_closed(error)

    # Frames, as the protocol finds them

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a load frame; leave the others."""
        if kind == frames.METHOD:
            return self._take_method(payload)
        if self._content is None:
            return False
        if kind == frames.HEADER:
            self._header = payload
            self._missing = frames.read_body_size(payload)
        elif kind == frames.BODY:
            self._missing -= len(payload)
            self._body.append(payload)
        if self._missing <= 0:
            self._complete()
        return True

    def _take_method(self, payload: bytes) -> bool:
        kind, method = frames.unpack_method(payload)
        if kind != frames.BASIC:
            return False
        if method == frames.DELIVER:
            self._content = frames.read_delivery(payload)
        elif method == frames.ACK:
            self._confirmed(*frames.read_confirm(payload))
        elif method == frames.NACK:
            self._refused(*frames.read_confirm(payload))
        elif method == frames.RETURN:
            self._content = frames.read_returned(payload)
        elif method == frames.CANCEL:
            self._cancelled(frames.read_cancel(payload))
        else:
            return False
        return True

    def _complete(self) -> None:
        about, self._content = self._content, None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        if isinstance(about, Delivery):
            on_delivery = self._consumers.get(about.consumer)
            if on_delivery is None:
                return
            try:
                on_delivery(about, self._header, body)
            except Exception:
                log.exception("a message could not be handled", channel=self.number)
        elif isinstance(about, Returned) and not self._confirms:
            try:
                self.on_returned(body)
            except Exception:
                log.exception("a message that came back could not be handled", channel=self.number)
        elif isinstance(about, Returned):
            number = frames.read_message_id(self._header)
            if number.isdigit():
                self._returned[int(number)] = about

    def _confirmed(self, tag: int, multiple: bool) -> None:
        for number in self._numbers(tag, multiple):
            receipt = self._unconfirmed.pop(number, None)
            returned = self._returned.pop(number, None) if self._returned else None
            if receipt is None:
                continue
            if returned is None:
                receipt.taken()
            else:
                receipt.refused(UnroutableError(f"nobody listens there ({returned.text})"))

    def _refused(self, tag: int, multiple: bool) -> None:
        for number in self._numbers(tag, multiple):
            receipt = self._unconfirmed.pop(number, None)
            if receipt is not None:
                receipt.refused(DeliveryFailed("the broker refused the message (queue full or failing)"))

    def _numbers(self, tag: int, multiple: bool) -> list[int]:
        if not multiple:
            return [tag]
        numbers: list[int] = []
        for number in self._unconfirmed:
            if number > tag:
                break
            numbers.append(number)
        return numbers

    def _cancelled(self, consumer: str) -> None:
        self._consumers.pop(consumer, None)
        self.on_cancelled(consumer)

    def _channel_closed(self, closing: asyncio.Future[Any]) -> None:
        self.shut(None if closing.cancelled() else closing.exception())

    def _method(self, exchange: str, routing_key: str, mandatory: bool) -> bytes:
        key = (exchange, routing_key, mandatory)
        method = self._methods.get(key)
        if method is None:
            if len(self._methods) > 2000:
                self._methods.clear()
            method = frames.publish_method(self.number, exchange, routing_key, mandatory=mandatory)
            self._methods[key] = method
        return method


def needed(channel: BrokerChannel | None) -> BrokerChannel:
    """The channel. Raises ReconnectingError if there is none that can be used just now."""
    if channel is None or not channel.usable:
        raise ReconnectingError("the broker is away just now")
    return channel
