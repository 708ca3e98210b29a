"""One connection to RabbitMQ, from dialling to its end. It does not come back; the transport redials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
import aiormq
from pamqp.exceptions import PAMQPException
from yarl import URL

from quince_messaging.errors import ConnectionFailed, DeliveryFailed, InvalidUri
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.connect_errors import advice
from quince_messaging.transports.amqp.driver import ask_driver, our_connection
from quince_messaging.transports.amqp.protocol import FrameTransportFactory
from quince_messaging.uri import BrokerUri

log = StructuredLogger(__name__)

DIAL_TIMEOUT = 10.0
DIAL_ERRORS = (OSError, TimeoutError, EOFError, aiormq.AMQPError, PAMQPException, DeliveryFailed)
CLOSE_TIMEOUT = 2.0
HEARTBEAT = 10
"""Seconds; a peer that is silent for two of them is given up."""


class _DriverConnection(aio_pika.Connection):
    """aio-pika's plain connection, on a socket whose load frames we read ourselves."""

    def __init__(self, url: URL, **kwargs: Any) -> None:
        super().__init__(url, **kwargs)
        self.factory = FrameTransportFactory()
        self.kwargs["transport_factory"] = self.factory

    def __del__(self) -> None:
        """Nothing: `BrokerConnection` closes it. aio-pika would start a coroutine on whatever loop runs where
        the garbage happens to be collected."""

    def hang_up(self) -> None:
        """Drop the socket of a connection that did not come about."""
        if self.factory.protocol is not None:
            self.factory.protocol.abort()


class BrokerConnection:
    """A live connection and its channels.

    Attributes:
        sending: The connection for what is published. A broker in need (memory, disk) stops reading from
            connections that publish; so acknowledgements and declarations go over one that does not.
            The two live and die together.
    """

    def __init__(self, connection: _DriverConnection) -> None:
        underlay = connection.transport.connection if connection.transport is not None else None
        protocol, writer = connection.factory.protocol, connection.factory.writer
        if not isinstance(underlay, aiormq.Connection) or protocol is None or writer is None:
            raise ConnectionFailed("the connection was closed while it was being opened")
        self._driver = connection
        self._underlay = underlay
        self._protocol = protocol
        self._channels: dict[int, BrokerChannel] = {}
        self._side = SideTasks(log)
        if interval := underlay.heartbeat_timeout:
            self._side.keep("watching for heartbeats", self._look_for_silence, every=interval / 2)
        self.frame_max: int = self._underlay.connection_tune.frame_max or 131072
        self.server: dict[str, Any] = dict(self._underlay.server_properties or {})
        self.sending: BrokerConnection = self
        self._leaving = False
        self.write = writer.write
        self.write_here = writer.write_here
        self.flush = writer.flush
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        protocol.lost.add_done_callback(lambda done: self._end(done.result()))
        self._underlay.closing.add_done_callback(self._closing)

    @classmethod
    async def dial(cls, uri: BrokerUri, name: str) -> BrokerConnection:
        """Connect. Raises ConnectionFailed or InvalidUri, saying what to do."""
        try:
            url = URL(uri.target)
            query = {"heartbeat": str(HEARTBEAT), "name": name} | dict(url.query)
            connection = _DriverConnection(url.with_query(query))
        except ValueError as error:
            raise InvalidUri(f"{uri.shown}: {error}") from error
        try:
            with our_connection():
                await ask_driver(connection.connect(), DIAL_TIMEOUT)
            return cls(connection)
        except DIAL_ERRORS as error:
            connection.hang_up()
            raise ConnectionFailed(advice(uri, error, DIAL_TIMEOUT)) from error
        except BaseException:
            connection.hang_up()
            raise

    def join(self, sending: BrokerConnection) -> None:
        """Publish over another connection from now on."""
        self.sending = sending
        sending.lost.add_done_callback(self._other_lost)
        self.lost.add_done_callback(self._lost)

    def _other_lost(self, done: asyncio.Future[Exception | None]) -> None:
        if not self._leaving:
            self._end(done.result())

    def _lost(self, _done: asyncio.Future[Exception | None]) -> None:
        if not self._leaving:
            self.sending.abort()

    @property
    def alive(self) -> bool:
        """Whether both connections are."""
        return self._is_alive() and self.sending._is_alive()

    def _is_alive(self) -> bool:
        return not self.lost.done() and not self._protocol.ended

    def on_blocked(self, listener: Callable[[str | None], None]) -> None:
        """Call `listener` with the broker's reason when it blocks us, with None when it goes on."""
        self._protocol.on_blocked = listener

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> BrokerChannel:
        """Open a channel."""
        driver = await ask_driver(self._underlay.channel(publisher_confirms=confirms), DIAL_TIMEOUT)
        if not isinstance(driver, aiormq.Channel):
            raise TypeError(f"aiormq gave a {type(driver).__name__} for a channel")
        channel = BrokerChannel(self, driver, confirms=confirms)
        self._channels[channel.number] = channel
        self._protocol.sinks[channel.number] = channel.frame
        if prefetch:
            await channel.qos(prefetch)
        return channel

    def forget(self, channel: BrokerChannel) -> None:
        self._channels.pop(channel.number, None)
        self._protocol.sinks.pop(channel.number, None)

    async def writable(self) -> None:
        """Wait until the socket takes more."""
        await self._protocol.writable.wait()

    async def close(self) -> None:
        """Close both connections in order, within a short time, or else at once."""
        self._leaving = True
        both = {self, self.sending}
        try:
            await asyncio.gather(*(connection._close_one() for connection in both))
        finally:
            for connection in both:
                connection.abort()

    async def _close_one(self) -> None:
        self.flush()
        try:
            if not self.lost.done():
                await ask_driver(self._driver.close(), CLOSE_TIMEOUT)
        except (TimeoutError, DeliveryFailed, aiormq.AMQPError, OSError) as error:
            log.debug("the connection did not close in order: %(error)r", error=error)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._protocol.abort()
        self._end(None)

    def _closing(self, done: asyncio.Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        self._end(error if isinstance(error, Exception) else None)

    def _end(self, error: Exception | None) -> None:
        if self.lost.done():
            return
        self.lost.set_result(error)
        for kept in list(self._side.kept.values()):
            self._side.drop(kept)
        self._protocol.abort()
        for channel in list(self._channels.values()):
            channel.shut(error)

    async def _look_for_silence(self) -> None:
        """A peer that is there sends a heartbeat at least every other interval."""
        silence = asyncio.get_running_loop().time() - self._protocol.last_data
        if silence > 2 * self._underlay.heartbeat_timeout + 1:
            self._end(ConnectionError(f"not a byte from the broker for {silence:.0f} s"))
