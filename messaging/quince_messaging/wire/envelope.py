"""What goes over the wire: msgpack after one version byte, and nothing that could be executed.

Every message of every transport is one of a few envelopes. Bodies inside a batch of broadcasts stay
encoded until somebody wants them, so a message that no filter matches costs next to nothing.

Beside msgpack's own types there is one extension type, for UUIDs: code 2, the 16 bytes (see `uuids`). A
message with any other is unreadable.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from quince_messaging.contract import BroadcastMessage
from quince_messaging.errors import UnreadableMessage
from quince_messaging.wire.nesting import (
    BOXES,
    LARGE,
    MANY,
    MOST_NESTED,
    check_depth,
    encode_if_shallow,
    few_and_plain,
    few_heads,
    too_deep,
)
from quince_messaging.wire.uuids import MARK, read_extension, with_uuids

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
"""No envelope may be larger; big data belongs in the store or in files."""

_VERSION_BYTE = bytes([VERSION])


class Status(enum.IntEnum):
    """How a call or a task ended, in a reply."""

    RESULT = 0
    ERROR = 1
    PENDING = 2
    CANCELLED = 3
    REJECTED = 4
    GONE = 5


class Address(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a reply goes: a communicator's private inbox, and the call that it answers."""

    inbox: str
    call: int


class Task(msgspec.Struct, array_like=True, frozen=True, tag=1, gc=False):
    """A task on a queue."""

    body: Any
    reply_to: Address | None = None


class Call(msgspec.Struct, array_like=True, frozen=True, tag=2, gc=False):
    """A remote procedure call; without `reply_to` nobody waits for its answer."""

    identifier: str
    body: Any
    reply_to: Address | None = None


class Calls(msgspec.Struct, array_like=True, frozen=True, tag=5, gc=False):
    """Calls that travel together to one identifier."""

    calls: list[Call]


class Reply(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer to one call or task.

    Attributes:
        call: The number in the `Address` that it answers.
        body: The result; with ERROR, `[type name, message, traceback text]`.
    """

    call: int
    status: Status
    body: Any = None


class Replies(msgspec.Struct, array_like=True, frozen=True, tag=3, gc=False):
    """Answers that travel together to one inbox."""

    replies: list[Reply]


class Broadcast(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One broadcast, its body still encoded."""

    sender: Any
    subject: str | None
    correlation_id: Any
    body: msgspec.Raw


class Broadcasts(msgspec.Struct, array_like=True, frozen=True, tag=4, gc=False):
    """Broadcasts that travel together."""

    messages: list[Broadcast]


Envelope = Task | Call | Calls | Replies | Broadcasts

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)
"""What reading may raise."""

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope, ext_hook=read_extension)
_body_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ext_hook=read_extension)


def encode(envelope: Envelope) -> bytes:
    """The envelope as bytes.

    Raises:
        TypeError: its body holds something that msgpack cannot carry.
        BodyTooDeep: its body is nested deeper than `MOST_NESTED`.
        UnreadableMessage: it is larger than `MAX_BYTES`.
    """
    if isinstance(envelope, (Task, Call)):
        encoded = _encoded(envelope, envelope.body, MOST_NESTED + 1)
    else:
        encoded = _encoded_together(envelope)
    data = _VERSION_BYTE + encoded
    if len(data) > MAX_BYTES:
        raise UnreadableMessage(
            f"the message is {len(data)} bytes, over the limit of {MAX_BYTES}; "
            "send a reference to the data, not the data"
        )
    return data


def decode(data: bytes | memoryview) -> Envelope:
    """The envelope in these bytes.

    Raises:
        UnreadableMessage: no envelope, of an unknown version, or too large; the text says which.
    """
    if not data:
        raise UnreadableMessage("empty message")
    if data[0] != VERSION:
        raise UnreadableMessage(f"unknown wire version {data[0]} (this side speaks {VERSION})")
    if len(data) > MAX_BYTES:
        raise UnreadableMessage(f"{len(data)} bytes, over the limit of {MAX_BYTES}")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except _UNREADABLE as error:
        raise UnreadableMessage(f"no envelope: {error}") from error


def pack(body: Any) -> msgspec.Raw:
    """A body, encoded ahead of its envelope.

    Raises:
        TypeError: msgpack cannot carry it.
        BodyTooDeep: it is nested deeper than `MOST_NESTED`.
    """
    return msgspec.Raw(_encoded(body, body, MOST_NESTED))


def unpack(encoded: msgspec.Raw) -> Any:
    """A body that was encoded by itself.

    Raises:
        UnreadableMessage: it cannot be read; the text says why.
    """
    try:
        return _body_decoder.decode(encoded)
    except _UNREADABLE as error:
        raise UnreadableMessage(f"no body: {error}") from error


def _encoded(message: Any, body: Any, most: int) -> bytes:
    """A body as msgpack, or the message around it: nested no deeper than so many levels, with its UUIDs."""
    many = type(body) in BOXES and len(body) > MANY
    encoded = encode_if_shallow(_encode, message) if many else None
    if encoded is None:
        try:
            encoded = _encode(message)
        except RecursionError as error:
            raise too_deep() from error
        if len(encoded) <= MOST_NESTED and MARK not in encoded:  # each level takes a byte
            return encoded
        if type(body) is msgspec.Raw or (len(encoded) > LARGE and few_and_plain(body)):
            return encoded
        if not few_heads(encoded, most) and (many or encode_if_shallow(_encode, message) is None):
            check_depth(encoded, most)
    return with_uuids(encoded, message)


def _encoded_together(envelope: Calls | Replies | Broadcasts) -> bytes:
    """An envelope of several as msgpack; their bodies were packed, or are made here."""
    try:
        encoded = _encode(envelope)
    except RecursionError as error:
        raise too_deep() from error
    if len(encoded) > LARGE and all(map(_is_packed, _parts(envelope))):
        return encoded
    return with_uuids(encoded, envelope)


def _parts(envelope: Calls | Replies | Broadcasts) -> Iterator[Any]:
    """What users have given for it."""
    if isinstance(envelope, Broadcasts):
        for message in envelope.messages:
            yield message.sender
            yield message.correlation_id
    else:
        for item in envelope.calls if isinstance(envelope, Calls) else envelope.replies:
            yield item.body


def _is_packed(part: Any) -> bool:
    return type(part) in (msgspec.Raw, str, int, type(None))


def pack_broadcasts(messages: Sequence[BroadcastMessage]) -> Broadcasts:
    """Broadcasts ready to travel. Raises as `pack` for what cannot."""
    return Broadcasts([Broadcast(m.sender, m.subject, m.correlation_id, pack(m.body)) for m in messages])


def unpack_broadcast(message: Broadcast) -> BroadcastMessage:
    """The broadcast with its body decoded. Raises as `unpack`."""
    return BroadcastMessage(unpack(message.body), message.sender, message.subject, message.correlation_id)
