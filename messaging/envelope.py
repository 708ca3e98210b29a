"""What goes over the wire: msgpack after one version byte, and nothing that could be executed.

Every message of every transport is one of a few envelopes. Bodies inside a batch of broadcasts stay
encoded until somebody wants them, so a message that no filter matches costs next to nothing.

Beside msgpack's own types there is one extension type, for UUIDs: code 2, the 16 bytes (see `uuids`). A
message with any other is unreadable.
"""

from __future__ import annotations

import enum
import gc
from collections.abc import Sequence
from typing import Any

import msgspec

from messaging.communicator import BroadcastMessage
from messaging.errors import BodyTooDeep, UnreadableMessage
from messaging.uuids import read_extension, with_uuids

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
"""No envelope may be larger; big data belongs in the store or in files."""
MOST_NESTED = 500
"""Lists and dictionaries within each other in a body. Reading takes a frame of Python's stack for each,
and whoever reads has frames of his own: the limit is about half of what Python grants by default."""

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

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope, ext_hook=read_extension)
_body_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ext_hook=read_extension)


def encode(envelope: Envelope) -> bytes:
    """The envelope as bytes.

    Raises:
        TypeError: its body holds something that msgpack cannot carry.
        BodyTooDeep: its body is nested deeper than `MOST_NESTED`.
        UnreadableMessage: it is larger than `MAX_BYTES`.
    """
    try:
        encoded = _encoder.encode(envelope)
    except RecursionError as error:
        raise _too_deep() from error
    if (
        len(encoded) > MOST_NESTED  # each level takes a byte
        and isinstance(envelope, (Task, Call))
        and not isinstance(envelope.body, msgspec.Raw)
    ):
        _check_depth(encoded, MOST_NESTED + 1)
    data = _VERSION_BYTE + with_uuids(encoded, envelope)
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
    try:
        encoded = _encoder.encode(body)
    except RecursionError as error:
        raise _too_deep() from error
    if len(encoded) > MOST_NESTED and not isinstance(body, msgspec.Raw):
        _check_depth(encoded, MOST_NESTED)
    return msgspec.Raw(with_uuids(encoded, body))


def unpack(encoded: msgspec.Raw) -> Any:
    """A body that was encoded by itself.

    Raises:
        UnreadableMessage: it cannot be read; the text says why.
    """
    try:
        return _body_decoder.decode(encoded)
    except _UNREADABLE as error:
        raise UnreadableMessage(f"no body: {error}") from error


_HEADS = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
"""The bytes that begin a list or a dictionary in msgpack; each level needs one."""
_WORTH_COUNTING = 64 * 1024


def _check_depth(encoded: bytes, limit: int) -> None:
    """Raise BodyTooDeep if something is nested deeper than the limit.

    Counting the bytes that could begin a level costs next to nothing and clears most messages; the others
    are read here, level by level.
    """
    size = len(encoded)
    if size < _WORTH_COUNTING and size - len(encoded.translate(None, _HEADS)) <= limit:
        return
    try:
        level = [_body_decoder.decode(encoded)]
    except RecursionError as error:
        raise _too_deep() from error
    for _ in range(limit):
        level = [inner for inner in gc.get_referents(*level) if type(inner) in (list, dict, tuple)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BodyTooDeep:
    return BodyTooDeep(
        f"lists and dictionaries are nested more than {MOST_NESTED} deep; send them flatter, for example "
        "as a list of nodes that name each other"
    )


def pack_broadcasts(messages: Sequence[BroadcastMessage]) -> Broadcasts:
    """Broadcasts ready to travel. Raises as `pack` for what cannot."""
    return Broadcasts([Broadcast(m.sender, m.subject, m.correlation_id, pack(m.body)) for m in messages])


def unpack_broadcast(message: Broadcast) -> BroadcastMessage:
    """The broadcast with its body decoded. Raises as `unpack`."""
    return BroadcastMessage(unpack(message.body), message.sender, message.subject, message.correlation_id)
