"""Parts the byte stream of one connection: load frames to the lanes, everything else to aio-pika."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

from quince_messaging.at_fork import nothing_to_release, release_in_children
from quince_messaging.transports.amqp import frames
from quince_messaging.transports.amqp.writer import Wire, WireWriter


class FrameSink(Protocol):
    """A channel whose load frames are taken out of the stream."""

    def frame(self, kind: int, payload: bytes) -> bool:
        """Take a frame (True), or leave it to aio-pika (False)."""


class Splitter(asyncio.StreamReaderProtocol):
    """The protocol of one connection.

    Frames of registered channels go to their lanes within `data_received`, without a task switch; the
    rest reaches aio-pika's reader unchanged and in order. aio-pika judges by what it sees whether the
    connection is alive, so a heartbeat is slipped in when only load frames have come for a second.
    """

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.sinks: dict[int, FrameSink] = {}
        self.on_blocked: Callable[[str | None], None] = lambda _reason: None
        self.last_data = loop.time()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.writer: asyncio.StreamWriter | None = None  # lives as long as its socket
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop_ = loop
        self._socket: asyncio.Transport | None = None
        self.wire = Wire(loop)
        self._pending = b""
        self._shown = 0.0
        self._told: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self._socket = transport
            self.wire.opened(transport)
            release_in_children(self, self._descriptors)

    def connection_lost(self, exc: Exception | None) -> None:
        nothing_to_release(self)
        self.wire.ended()
        super().connection_lost(exc)
        self.writable.set()
        if not self.lost.done():
            self.lost.set_result(self._told or exc)

    def _descriptors(self) -> list[int]:
        """For a forked child to let go of: else the broker would not see that its parent has died, and TLS
        would end the parent's session with the child."""
        socket = self._socket.get_extra_info("socket") if self._socket is not None else None
        return [] if socket is None or socket.fileno() < 0 else [socket.fileno()]

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # a peer that hangs up is gone: no half-closed connections

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writable.set()

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._socket is not None:
            self._socket.abort()

    def data_received(self, data: bytes) -> None:
        self.last_data = now = self._loop_.time()
        if self._pending:
            data = self._pending + data
        rest = self._split(data)
        if not rest and now - self._shown > 1.0:
            rest = frames.HEARTBEAT_FRAME
        if rest:
            self._shown = now
            super().data_received(rest)

    def _split(self, data: bytes) -> bytes:
        """Hand out the whole frames in `data`; returns those that are for aio-pika."""
        if data.startswith(b"AMQP"):  # the server speaks another version: aio-pika knows what to say
            self._pending = b""
            return data
        kept: list[bytes] = []
        at, size = 0, len(data)
        sinks = self.sinks
        while size - at >= frames.OVERHEAD:
            kind, channel, length = frames.unpack_head(data, at)
            end = at + frames.OVERHEAD + length
            if end > size:
                break
            sink = sinks.get(channel)
            if sink is None or not sink.frame(kind, data[at + 7 : end - 1]):
                kept.append(data[at:end])
                if channel == 0 and kind == frames.METHOD:
                    self._control(data[at + 7 : end - 1])
            at = end
        self._pending = data[at:] if at else data
        return b"".join(kept)

    def _control(self, payload: bytes) -> None:
        kind, method = frames.unpack_method(payload)
        if kind != frames.CONNECTION:
            return
        if method == frames.BLOCKED:
            self.on_blocked(payload[5 : 5 + payload[4]].decode(errors="replace"))
        elif method == frames.UNBLOCKED:
            self.on_blocked(None)
        elif method == frames.CLOSE:
            self._told = ConnectionError(payload[7 : 7 + payload[6]].decode(errors="replace"))


class SplittingTransportFactory(TransportFactory):
    """Opens aio-pika's sockets with a `Splitter` on them."""

    def __init__(self) -> None:
        self.splitter: Splitter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider: SSLContextProvider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        splitter = Splitter(reader, loop)
        transport, _ = await loop.create_connection(
            lambda: splitter, host=url.host or "", port=url.port or 0, ssl=context, **kwargs
        )
        self.splitter = splitter
        splitter.writer = WireWriter(transport, splitter, reader, loop, splitter.wire)
        return reader, splitter.writer
