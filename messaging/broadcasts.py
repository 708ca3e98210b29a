"""Broadcasts on their way out: checked and encoded where they are sent, put together where they leave.

Many travel in one envelope, so one that cannot be encoded, or is too large, would take its neighbours with
it; and its sender would have gone on long ago.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from messaging.communicator import BroadcastMessage
from messaging.envelope import MAX_BYTES, Broadcasts, encode, pack, pack_broadcasts

MOST_TOGETHER = 1024 * 1024
"""Bytes of bodies from which an envelope of several broadcasts takes no more."""
_PLAIN = (type(None), str, bytes, int, float, bool)
_ROOM = 4096
"""Bytes well below the limit, up to which a broadcast need not be measured as a whole."""


def checked(message: BroadcastMessage) -> BroadcastMessage:
    """The same broadcast, its body encoded, the rest as it will arrive.

    Raises:
        TypeError, ValueError, OverflowError: a part of it cannot travel.
        UnreadableMessage: it is too large.
    """
    if message.subject is not None and not isinstance(message.subject, str):
        raise TypeError(f"the subject of a broadcast is text or None, not {message.subject!r}")
    body = pack(message.body)
    head = pack((message.sender, message.subject, message.correlation_id))
    sender, correlation_id = message.sender, message.correlation_id
    if type(sender) not in _PLAIN or type(correlation_id) not in _PLAIN:
        sender, _, correlation_id = msgspec.msgpack.decode(head)
    sent = BroadcastMessage(body, sender, message.subject, correlation_id)
    if len(bytes(head)) + _length(body) > MAX_BYTES - _ROOM:
        encode(pack_broadcasts([sent]))
    return sent


def in_envelopes(messages: Sequence[BroadcastMessage]) -> Iterator[Broadcasts]:
    """Broadcasts ready to travel, in order, no more together than is good to send at once."""
    together: list[BroadcastMessage] = []
    size = 0
    for message in messages:
        length = _length(message.body)
        if together and size + length > MOST_TOGETHER:
            yield pack_broadcasts(together)
            together, size = [], 0
        together.append(message)
        size += length
    if together:
        yield pack_broadcasts(together)


def _length(body: Any) -> int:
    """Of an encoded body; one that comes from elsewhere is not encoded yet."""
    return len(memoryview(body)) if isinstance(body, msgspec.Raw) else 0
