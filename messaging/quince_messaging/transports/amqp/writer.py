"""The writing half of a connection: by turns of the loop, or at once from another thread if none waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading


class Wire:
    """What leaves over one socket, whole frames at a time.

    Most of it is written on the loop, joined by turns (`write`). Waking the loop for that costs another
    thread more than the writing itself, so a lone message may be written where it is made (`write_here`).
    A lock keeps the two apart, and what the socket did not take of one message goes before the next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._process = os.getpid()
        self._waiting: list[bytes] = []
        self._rest = b""

    def opened(self, transport: asyncio.Transport) -> None:
        """The connection is made. One under TLS is only written to on the loop."""
        self._transport = transport
        socket = transport.get_extra_info("socket")
        if socket is not None and transport.get_extra_info("sslcontext") is None:
            self._descriptor = socket.fileno()

    def ended(self) -> None:
        """The socket is about to be closed, and its number given to something else."""
        with self._lock:
            self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Send with everything else of this turn of the loop."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)

    def flush(self) -> None:
        """Send now what `write` has collected."""
        with self._lock:
            self._finish()
            if self._waiting and self._transport is not None and not self._transport.is_closing():
                self._transport.write(b"".join(self._waiting))
            self._waiting.clear()

    def write_through(self, data: bytes) -> None:
        """On the loop: send now, before what `write` has collected."""
        with self._lock:
            self._finish()
            if self._transport is not None:
                self._transport.write(data)

    def write_here(self, data: bytes) -> bool:
        """From any thread: send now, if nothing else waits to be sent; False if that cannot be.

        In a child made by `fork()` it cannot: the socket is the parent's.
        """
        if self._waiting or self._lock.locked() or self._process != os.getpid():
            return False
        with self._lock:  # with `acquire(blocking=False)` Ctrl-C could leave it locked
            return self._is_free() and self._sent(data)

    def _is_free(self) -> bool:
        if self._descriptor < 0 or self._rest or self._waiting:
            return False
        if self._transport is None or self._transport.is_closing():
            return False
        try:
            return not self._transport.get_write_buffer_size()
        except RuntimeError:  # it is just being written from
            return False

    def _sent(self, data: bytes) -> bool:
        try:
            count = os.write(self._descriptor, data)
        except OSError:  # full or broken: the loop will see to it
            return False
        if count < len(data):
            self._rest = data[count:]
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the connection with it
                self._loop.call_soon_threadsafe(self.flush)
        return True

    def _finish(self) -> None:
        """Under the lock: first what is left of a message that another thread began."""
        rest, self._rest = self._rest, b""
        if rest and self._transport is not None:
            self._transport.write(rest)


class WireWriter(asyncio.StreamWriter):
    """aio-pika's way to write: through the same lock."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BaseProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.StreamWriter`."""
        self._wire.write_through(bytes(data))
