"""One connection to another communicator: frames in, frames out, and how much may wait."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.frames import BadFrame, FrameReader

_log = StructuredLogger(__name__)

READ_AT_ONCE = 128 * 1024  # bytes
CROWDED = 1024 * 1024  # bytes from which a sender waits for the peer, if that reads at all
MOST_BUFFERED = 8 * 1024 * 1024  # bytes that wait for one peer to read them


class ConnectionOwner(Protocol):
    """What a connection needs of its owner."""

    def connected(self, connection: PeerConnection) -> None:
        """A connection begins."""

    def received(self, connection: PeerConnection, payload: bytes) -> None:
        """A frame has arrived. Raises BadFrame if it makes no sense; then the connection is cut."""

    def disconnected(self, connection: PeerConnection) -> None:
        """A connection has ended."""


class PeerConnection(asyncio.BufferedProtocol):
    """One connection; `peer` is None until the other side has said who it is."""

    def __init__(self, keeper: ConnectionOwner) -> None:
        self.peer: str | None = None
        self.greeted = asyncio.Event()
        """Set when the other side has said hello, or never will."""
        self._owner = keeper
        self._reader = FrameReader()
        # One buffer for ever: asyncio's own way takes and gives back 256 kB of memory for each read.
        self._buffer = memoryview(bytearray(READ_AT_ONCE))
        self.ended = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._written = 0
        self._stalled_at: int | None = None
        """How much it had taken when waiting for it was given up."""
        self.sent_revision = -1
        """The revision of our filters in the hello that was said here."""
        self._parts: list[bytes] = []
        self._unsent = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(CROWDED)
        self._owner.connected(self)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()
        self._stalled_at = None

    @property
    def crowded(self) -> bool:
        """Whether it is worth waiting until the peer has read some of what was written."""
        return not self._room.is_set() and not self.stalled

    @property
    def has_room(self) -> bool:
        """Whether next to nothing waits for the peer to read it."""
        return self._room.is_set()

    @property
    def stalled(self) -> bool:
        """Whether waiting for it was given up, and it has read nothing since."""
        return self._stalled_at is not None and self._taken() <= self._stalled_at

    async def make_room(self, patience: float) -> bool:
        """Wait until there is room, or the end, as long as the peer goes on reading.

        False, and from then on not `crowded` but stuck, if it has read nothing for `patience` seconds.
        """
        if self._transport.is_closing():  # it takes nothing more, and is not told of as lost before the end
            await self.ended.wait()
            return True
        while True:
            taken = self._taken()
            try:
                await asyncio.wait_for(self._room.wait(), patience)
            except TimeoutError:
                if self._taken() > taken:
                    continue
                self._stalled_at = taken
                return False
            self._stalled_at = None
            return True

    def _taken(self) -> int:
        """Bytes that have left for the peer so far."""
        return self._written - self._transport.get_write_buffer_size()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for payload in self._reader.feed(bytes(self._buffer[:nbytes])):
                self._hear(payload)
        except BadFrame as error:
            self.abort(str(error))

    def _hear(self, payload: bytes) -> None:
        try:
            self._owner.received(self, payload)
        except BadFrame:
            raise
        except Exception:  # what comes next is to be heard
            _log.exception(
                "a message of communicator %(communicator)s could not be handled",
                communicator=self.peer or "(unnamed)",
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self._room.set()
        self._owner.disconnected(self)

    @property
    def descriptor(self) -> int:
        """Of its socket."""
        return int(self._transport.get_extra_info("socket").fileno())

    def send(self, data: bytes) -> bool:
        """Write in this turn of the loop, together with the rest; False if it would be too much."""
        if self._transport.is_closing():
            return False
        if self._unsent + self._transport.get_write_buffer_size() > MOST_BUFFERED:
            self.flush()  # so that `make_room` knows of it
            return False
        if not self._parts:
            asyncio.get_running_loop().call_soon(self.flush)
        self._parts.append(data)
        self._unsent += len(data)
        return True

    def send_now(self, data: bytes) -> bool:
        """Write at once, after what waits, however much that is; False if the connection has ended."""
        if self._transport.is_closing():
            return False
        self._parts.append(data)
        self.flush()
        return True

    def flush(self) -> None:
        """Write what was sent in this turn of the loop."""
        parts, self._parts = self._parts, []
        self._unsent = 0
        if parts and not self._transport.is_closing():
            data = b"".join(parts) if len(parts) > 1 else parts[0]
            self._written += len(data)
            self._transport.write(data)

    def abort(self, why: str) -> None:
        """Cut the connection now."""
        _log.warning(
            "the connection to communicator %(communicator)s is cut: %(reason)s",
            communicator=self.peer or "(unnamed)",
            reason=why,
        )
        self._transport.abort()

    def close(self) -> None:
        """Write what is left, as far as it goes at once, and close."""
        if self._parts:
            self.flush()
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
