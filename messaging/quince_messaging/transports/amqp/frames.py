"""The few AMQP 0-9-1 frames that carry the load, packed and unpacked by hand.

Source: the AMQP 0-9-1 specification, sections 4.2 (wire format) and 1.8 (basic class).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
OVERHEAD = 8

BASIC = 60
CANCEL, PUBLISH, RETURN, DELIVER, ACK, NACK = 30, 40, 50, 60, 80, 120
CONNECTION = 10
CLOSE, BLOCKED, UNBLOCKED = 50, 60, 61

_HEAD = struct.Struct(">BHI")
_METHOD_ID = struct.Struct(">HH")
_CONTENT = struct.Struct(">HHQ")
_TAG = struct.Struct(">Q")
_ACK = struct.Struct(">BHIHHQBB")

unpack_head = _HEAD.unpack_from
unpack_method = _METHOD_ID.unpack_from

# Property flags, in the order in which the properties follow them (basic class).
(
    _CONTENT_TYPE,
    _ENCODING,
    _HEADERS,
    _DELIVERY,
    _PRIORITY,
    _CORRELATION,
    _REPLY_TO,
    _EXPIRATION,
    _MESSAGE_ID,
) = (1 << bit for bit in range(15, 6, -1))


NO_HEADER = _CONTENT.pack(BASIC, 0, 0) + b"\x00\x00"
"""A content header without properties."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The method part of a delivered message."""

    consumer: str
    tag: int
    redelivered: bool
    routing_key: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The method part of a message that could not be routed."""

    code: int
    text: str


def publish_method(channel: int, exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """A whole `basic.publish` method frame; worth keeping, as it is the same for every message."""
    payload = b"".join(
        (
            _METHOD_ID.pack(BASIC, PUBLISH),
            b"\x00\x00",
            short(exchange),
            short(routing_key),
            b"\x01" if mandatory else b"\x00",
        )
    )
    return _HEAD.pack(METHOD, channel, len(payload)) + payload + END


def properties(
    *,
    persistent: bool = False,
    priority: int = 0,
    message_id: str = "",
    headers: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    """Property flags and values of a message; `headers` come as packed field values."""
    flags = 0
    values: list[bytes] = []
    if headers:
        flags |= _HEADERS
        table = b"".join(short(name) + value for name, value in headers)
        values.append(struct.pack(">I", len(table)) + table)
    if persistent:
        flags |= _DELIVERY
        values.append(b"\x02")
    if priority:
        flags |= _PRIORITY
        values.append(bytes((priority,)))
    if message_id:
        flags |= _MESSAGE_ID
        values.append(short(message_id))
    return struct.pack(">H", flags) + b"".join(values)


def text_field(text: str) -> bytes:
    """A header value: a long string."""
    data = text.encode()
    return b"S" + struct.pack(">I", len(data)) + data


def text_array_field(texts: Iterable[str]) -> bytes:
    """A header value: an array of long strings (such as `CC`)."""
    items = b"".join(text_field(text) for text in texts)
    return b"A" + struct.pack(">I", len(items)) + items


def content(channel: int, packed_properties: bytes, body: bytes, frame_max: int) -> bytes:
    """The header frame and the body frames of a message."""
    size = len(body)
    head = _HEAD.pack(HEADER, channel, 12 + len(packed_properties))
    header = head + _CONTENT.pack(BASIC, 0, size) + packed_properties + END
    room = frame_max - OVERHEAD
    if size <= room:
        return header + _HEAD.pack(BODY, channel, size) + body + END if size else header
    parts = [header]
    for start in range(0, size, room):
        part = body[start : start + room]
        parts += [_HEAD.pack(BODY, channel, len(part)), part, END]
    return b"".join(parts)


def ack(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """A whole `basic.ack` frame."""
    return _ACK.pack(METHOD, channel, 13, BASIC, ACK, tag, multiple, 0xCE)


def nack(channel: int, tag: int, *, requeue: bool = True) -> bytes:
    """A whole `basic.nack` frame for one message."""
    return _ACK.pack(METHOD, channel, 13, BASIC, NACK, tag, 2 if requeue else 0, 0xCE)


def read_delivery(payload: bytes) -> Delivery:
    """Read a `basic.deliver` method."""
    end = 5 + payload[4]
    consumer = payload[5:end].decode()
    (tag,) = _TAG.unpack_from(payload, end)
    redelivered = bool(payload[end + 8] & 1)
    end += 9
    end += 1 + payload[end]
    return Delivery(
        consumer, tag, redelivered, payload[end + 1 : end + 1 + payload[end]].decode(errors="replace")
    )


def read_returned(payload: bytes) -> Returned:
    """Read a `basic.return` method."""
    (code,) = struct.unpack_from(">H", payload, 4)
    return Returned(code, payload[7 : 7 + payload[6]].decode(errors="replace"))


def read_confirm(payload: bytes) -> tuple[int, bool]:
    """Read a `basic.ack` or `basic.nack` of the broker: delivery tag, multiple."""
    (tag,) = _TAG.unpack_from(payload, 4)
    return tag, bool(payload[12] & 1)


def read_cancel(payload: bytes) -> str:
    """Read the consumer tag of a `basic.cancel`."""
    return payload[5 : 5 + payload[4]].decode()


def read_body_size(payload: bytes) -> int:
    """Read how large the body is, from a content header."""
    size: int = _CONTENT.unpack_from(payload)[2]
    return size


def read_message_id(payload: bytes) -> str:
    """Read the message id from a content header; empty if it has none."""
    return _read_properties(payload)[1]


def read_priority(payload: bytes) -> int:
    """Read the priority from a content header."""
    return _read_properties(payload)[0]


def has_headers(payload: bytes) -> bool:
    """Whether a content header has a header table (as a message has that was dead-lettered)."""
    return bool(payload[12] << 8 & _HEADERS)


def _read_properties(payload: bytes) -> tuple[int, str]:
    (flags,) = struct.unpack_from(">H", payload, 12)
    at = 14
    priority = 0
    for flag in (_CONTENT_TYPE, _ENCODING):
        if flags & flag:
            at += 1 + payload[at]
    if flags & _HEADERS:
        at += 4 + int.from_bytes(payload[at : at + 4], "big")
    if flags & _DELIVERY:
        at += 1
    if flags & _PRIORITY:
        priority = payload[at]
        at += 1
    for flag in (_CORRELATION, _REPLY_TO, _EXPIRATION):
        if flags & flag:
            at += 1 + payload[at]
    if flags & _MESSAGE_ID:
        return priority, payload[at + 1 : at + 1 + payload[at]].decode(errors="replace")
    return priority, ""


def short(text: str) -> bytes:
    """A short string: one length byte and up to 255 bytes."""
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"{text[:40]!r}... is longer than the 255 bytes that AMQP allows for a name")
    return bytes((len(data),)) + data
