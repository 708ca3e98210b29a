"""How what communicators say to each other is cut into frames on their sockets.

A frame is four bytes of length (little endian) and that many bytes: either an envelope (its first
byte is the wire version) or, after a zero byte, one of the notes below, which only this transport
knows. The first frame in each direction is a `Hello`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from quince_messaging.contract import SubjectFilter
from quince_messaging.wire.envelope import MAX_BYTES

VERSION = 1
LARGEST_FRAME = MAX_BYTES + 1024
_NOTE = b"\0"


class Hello(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Who I am, and which broadcasts I want as of this revision of my filters."""

    version: int
    peer: str
    revision: int
    filters: list[SubjectFilter]


class Wants(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """All my filters have changed by this much; answered by `Noted`."""

    revision: int
    added: list[SubjectFilter]
    removed: list[SubjectFilter]


class Noted(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """That revision of your filters is known here: what I broadcast from now on reaches you."""

    revision: int


class Bell(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """There are tasks on this queue, about `count` of them for this consumer of yours."""

    queue: str
    consumer: int
    count: int


class Nobody(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """Your call met no such identifier here."""

    call: int


Note = Hello | Wants | Noted | Bell | Nobody

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Note] = msgspec.msgpack.Decoder(Note)


class BadFrame(Exception):
    """The bytes are no frame; the connection they came over is of no more use."""


def frame(payload: bytes) -> bytes:
    """An envelope as it goes over the socket."""
    return len(payload).to_bytes(4, "little") + payload


def frame_note(note: Note) -> bytes:
    """A note as it goes over the socket."""
    return frame(_NOTE + _encoder.encode(note))


def read_note(payload: bytes) -> Note | None:
    """The note in a frame, or None if the frame holds an envelope. Raises BadFrame."""
    if payload[:1] != _NOTE:
        return None
    try:
        return _decoder.decode(memoryview(payload)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadFrame(str(error)) from error


class FrameReader:
    """Puts frames together from the pieces that a socket delivers."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads of the frames that are complete with `data`. Raises BadFrame."""
        buffer: bytes | bytearray = data
        if self._pending:
            self._pending += data
            buffer = self._pending
        start, end = 0, len(buffer)
        while end - start >= 4:
            size = int.from_bytes(buffer[start : start + 4], "little")
            if size > LARGEST_FRAME:
                raise BadFrame(f"a frame of {size} bytes")
            if end - start - 4 < size:
                break
            yield bytes(buffer[start + 4 : start + 4 + size])
            start += 4 + size
        if buffer is self._pending:
            del self._pending[:start]
        else:
            self._pending += data[start:]
