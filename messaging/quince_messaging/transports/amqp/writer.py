"""Writes the socket of a connection: by turns of its loop, or at once from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from typing import Any

HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024
"""Unsent bytes above which the protocol is asked to pause, and down to which it may go on: asyncio's own."""


class SocketWriter(asyncio.Transport):
    """The writing half of a plain socket whose reading half is asyncio's transport.

    That transport is for its loop alone: what it says of its buffer proves nothing to another thread, for
    it may be in the middle of a frame with nothing in the buffer. So nothing is written through it. This
    one owns the writing: a duplicate of the descriptor, a buffer, a lock, and a callback for when the socket
    takes more. All methods but `write_here` are for the loop; an `asyncio.StreamWriter` takes it for its
    transport.

    Attributes:
        error: Why the socket could no longer be written, if that ends the connection.

    Raises:
        OSError: there is no descriptor left, or the connection has ended already.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, protocol: asyncio.Protocol
    ) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._loop = loop
        self._transport = transport
        self._protocol = protocol
        self._process = os.getpid()
        self._lock = threading.Lock()
        shared = os.dup(transport.get_extra_info("socket").fileno())
        self._socket: socket.socket | None = socket.socket(fileno=shared)
        self._socket.setblocking(False)
        self._begun: list[tuple[bytes, int]] = []  # by other threads, with how much of it was sent
        self._unsent = bytearray()  # of the loop alone
        self._watching = self._paused = self._closing = self._eof = False

    def write_here(self, data: bytes) -> bool:
        """From any thread: send now, if nothing else waits to be sent; False if that cannot be.

        In a child made by `fork()` it cannot: the socket is the parent's.
        """
        if self._lock.locked() or self._process != os.getpid():
            return False
        with self._lock:  # with `acquire(blocking=False)` Ctrl-C could leave it locked
            if self._socket is None or self._closing or self._unsent or self._begun:
                return False
            try:  # in one call: Ctrl-C between the sending and its record would have a frame begun anew
                self._begun.extend(zip((data,), map(self._socket.send, (data,)), strict=True))
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self.error = error
                self._wake()
                return False
            if self._begun[0][1] == len(data):
                self._begun.clear()
            else:
                self._wake()
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send after all that waits."""
        if not self._closing and not self._eof:
            self._send(data)

    def write_eof(self) -> None:
        """Close the writing half once all is sent."""
        self._eof = True
        self._send()

    def can_write_eof(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the connection once all is sent; nothing more is read."""
        if not self._closing:
            self._closing = True
            self._transport.pause_reading()
            self._send()

    def abort(self) -> None:
        """Close the connection at once."""
        self._closing = True
        self.release()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self._closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the socket."""
        return len(self._unsent)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the reading half."""
        return self._transport.get_extra_info(name, default)

    def fileno(self) -> int:
        """The duplicate; -1 if the connection has ended."""
        return -1 if self._socket is None else self._socket.fileno()

    def release(self) -> None:
        """Close the duplicate, for the connection has ended. What is unsent is dropped."""
        with self._lock:
            sock, self._socket = self._socket, None
        if sock is not None:
            if self._watching:
                self._loop.remove_writer(sock)
            self._unsent.clear()
            sock.close()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the connection with it
            self._loop.call_soon_threadsafe(self._send)

    def _send(self, data: bytes | bytearray | memoryview = b"") -> None:
        """Send what other threads have begun, what waits, and `data`, as far as the socket takes them."""
        with self._lock:
            if self._socket is None:
                return
            for begun, sent in self._begun:
                self._unsent += memoryview(begun)[sent:]
            self._begun.clear()
            if self._unsent:
                self._unsent += data
                data = self._unsent
            sent = 0
            try:
                if data:
                    sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self.error = error
            if data is self._unsent:
                del self._unsent[:sent]
            else:
                self._unsent += memoryview(data)[sent:]
        if self.error is None:
            self._go_on(self._socket)
        else:
            self.abort()

    def _go_on(self, sock: socket.socket) -> None:
        """By what is unsent: watch the socket, have the protocol pause, or close."""
        unsent = len(self._unsent)
        if unsent and not self._watching:
            self._loop.add_writer(sock, self._send)
        elif self._watching and not unsent:
            self._loop.remove_writer(sock)
        self._watching = bool(unsent)
        if unsent > HIGH_WATER and not self._paused:
            self._paused = True
            self._protocol.pause_writing()
        elif self._paused and unsent <= LOW_WATER:
            self._paused = False
            self._protocol.resume_writing()
        if unsent:
            return
        if self._closing:
            self._transport.close()
        elif self._eof:
            self._transport.write_eof()


class FrameWriter:
    """Writes frames to the transport of a connection, those of one turn of its loop together.

    Waking the loop for that costs another thread more than the writing itself, so a lone message may be
    written where it is made (`write_here`); not under TLS, whose transport is for the loop alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._socket = transport if isinstance(transport, SocketWriter) else None
        self._collected: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send with everything else of this turn of the loop."""
        if not self._collected:
            self._loop.call_soon(self.flush)
        self._collected.append(data)

    def flush(self) -> None:
        """Send now what `write` has collected."""
        try:
            if self._collected and not self._transport.is_closing():
                self._transport.write(b"".join(self._collected))
        finally:  # not before: until it is sent, other threads must see that something waits
            self._collected.clear()

    def write_here(self, data: bytes) -> bool:
        """From any thread: send now, if nothing else waits to be sent; False if that cannot be."""
        return self._socket is not None and not self._collected and self._socket.write_here(data)
