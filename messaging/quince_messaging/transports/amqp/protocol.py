"""Parts the byte stream of one connection: load frames to our channels, everything else to aio-pika."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiormq.connection import SSLContextProvider, TransportFactory
from yarl import URL

from quince_messaging.at_fork import nothing_to_release, release_in_children
from quince_messaging.transports.amqp import frames
from quince_messaging.transports.amqp.writer import FrameWriter, SocketWriter

FrameSink = Callable[[int, bytes], bool]
"""Takes a load frame of a channel (True), or leaves it to aio-pika (False)."""


class FrameProtocol(asyncio.StreamReaderProtocol):
    """The protocol of one connection.

    Frames of registered channels go there within `data_received`, without a task switch; the rest reaches
    aio-pika's reader unchanged and in order. aio-pika judges by what it sees whether the connection is
    alive, so a heartbeat is slipped in when only load frames have come for a second.
    """

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.sinks: dict[int, FrameSink] = {}
        self.on_blocked: Callable[[str | None], None] = lambda _reason: None
        self.last_data = loop.time()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop_ = loop
        self._transport_: asyncio.Transport | None = None
        self._writer: SocketWriter | None = None
        self._stream: asyncio.StreamWriter | None = None
        self._ended = False
        self._pending = b""
        self._shown = 0.0
        self._told: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.Transport):
            self._transport_ = transport
            release_in_children(self, self._descriptors)

    def writers(self, reader: asyncio.StreamReader) -> tuple[FrameWriter, asyncio.StreamWriter]:
        """Ours and aio-pika's, once the connection is made: over one transport.

        A plain socket we write ourselves, one under TLS through asyncio's transport.

        Raises:
            OSError: it has ended already, or there is no file descriptor left.
        """
        transport = self._transport_
        if transport is None:
            raise ConnectionError("the connection has ended")
        if transport.get_extra_info("sslcontext") is None:
            transport = self._writer = SocketWriter(self._loop_, transport, self)
        self._stream = asyncio.StreamWriter(transport, self, reader, self._loop_)  # collected, it would close
        return FrameWriter(self._loop_, transport), self._stream

    @property
    def ended(self) -> bool:
        """Whether nobody reads what is written now; `lost` tells so some turns of the loop later."""
        return self._ended or (self._writer is not None and self._writer.error is not None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        nothing_to_release(self)
        if self._writer is not None:
            self._writer.release()
            exc = exc or self._writer.error
        super().connection_lost(exc)
        self.writable.set()
        if not self.lost.done():
            self.lost.set_result(self._told or exc)

    def _descriptors(self) -> list[int]:
        """For a forked child to let go of: else the broker would not see that its parent has died, and TLS
        would end the parent's session with the child."""
        socket = self._transport_.get_extra_info("socket") if self._transport_ is not None else None
        shared = [] if socket is None else [socket.fileno()]
        if self._writer is not None:
            shared.append(self._writer.fileno())
        return [descriptor for descriptor in shared if descriptor >= 0]

    def eof_received(self) -> bool:
        super().eof_received()
        self._ended = True
        if self._writer is not None:
            self._writer.release()
        return False  # a peer that hangs up is gone: no half-closed connections

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writable.set()

    def abort(self) -> None:
        """Drop the connection without a word."""
        if (transport := self._writer or self._transport_) is not None:
            transport.abort()

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
            if sink is None or not sink(kind, data[at + 7 : end - 1]):
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


class FrameTransportFactory(TransportFactory):
    """Opens aio-pika's connections with a `FrameProtocol` on them."""

    def __init__(self) -> None:
        self.protocol: FrameProtocol | None = None
        self.writer: FrameWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider: SSLContextProvider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        self.protocol = protocol = FrameProtocol(reader, loop)
        await loop.create_connection(
            lambda: protocol, host=url.host or "", port=url.port or 0, ssl=context, **kwargs
        )
        self.writer, stream = protocol.writers(reader)
        return reader, stream
