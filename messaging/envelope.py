"""What goes over the wire: msgpack after one version byte, and nothing that could be executed.

Every message of every transport is one of a few envelopes. Bodies inside a batch of broadcasts stay
encoded until somebody wants them, so a message that no filter matches costs next to nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from messaging.communicator import BroadcastMessage
from messaging.errors import UnreadableMessage

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

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)
_body_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


def encode(envelope: Envelope) -> bytes:
    """The envelope as bytes.

    Raises:
        TypeError: its body holds something that msgpack cannot carry.
        UnreadableMessage: it is larger than `MAX_BYTES`.
    """
    data = _VERSION_BYTE + _encoder.encode(envelope)
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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise UnreadableMessage(f"no envelope: {error}") from error


def pack(body: Any) -> msgspec.Raw:
    """A body, encoded ahead of its envelope. Raises TypeError if msgpack cannot carry it."""
    return msgspec.Raw(_encoder.encode(body))


def pack_broadcasts(messages: Sequence[BroadcastMessage]) -> Broadcasts:
    """Broadcasts ready to travel. Raises TypeError for a body that msgpack cannot carry."""
    return Broadcasts([Broadcast(m.sender, m.subject, m.correlation_id, pack(m.body)) for m in messages])


def unpack_broadcast(message: Broadcast) -> BroadcastMessage:
    """The broadcast with its body decoded."""
    return BroadcastMessage(
        _body_decoder.decode(message.body), message.sender, message.subject, message.correlation_id
    )
