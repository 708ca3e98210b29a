"""Broadcasts on their way: checked and encoded where they are sent, put together where they leave, and read
where somebody wants them.

Many travel in one envelope, so one that cannot be encoded, or is too large, would take its neighbours with
it; and its sender would have gone on long ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from quince_messaging.contract import BroadcastHandler, BroadcastMessage
from quince_messaging.errors import UnreadableMessage
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.envelope import (
    MAX_BYTES,
    Broadcast,
    Broadcasts,
    encode,
    pack,
    pack_broadcasts,
    unpack,
    unpack_broadcast,
)
from quince_messaging.wire.filters import Subscriptions, sender_key

log = StructuredLogger(__name__)
Message = TypeVar("Message", BroadcastMessage, Broadcast)

MOST_TOGETHER = 1024 * 1024
"""Bytes of bodies from which an envelope of several broadcasts takes no more."""
_PLAIN = (type(None), str, bytes, int, float, bool)
_ROOM = 4096
"""Bytes well below the limit, up to which a broadcast need not be measured as a whole."""


def checked(message: BroadcastMessage) -> BroadcastMessage:
    """A broadcast with its body encoded and the rest as it will arrive.

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
        sender, _, correlation_id = unpack(head)
    sent = BroadcastMessage(body, sender, message.subject, correlation_id)
    if len(bytes(head)) + body_size(body) > MAX_BYTES - _ROOM:
        encode(pack_broadcasts([sent]))
    return sent


def in_envelopes(messages: Sequence[BroadcastMessage]) -> Iterator[Broadcasts]:
    """Broadcasts ready to travel, in order, no more together than is good to send at once."""
    return map(pack_broadcasts, in_pieces(messages, MOST_TOGETHER))


def in_pieces(
    messages: Sequence[Message], most: int, most_messages: float = float("inf")
) -> Iterator[list[Message]]:
    """Broadcasts in order: at most so many together, of no more than so many bytes, or else alone."""
    together: list[Message] = []
    size = 0
    for message in messages:
        length = body_size(message.body)
        if together and (len(together) >= most_messages or size + length > most):
            yield together
            together, size = [], 0
        together.append(message)
        size += length
    if together:
        yield together


def hand_over(together: Broadcasts, subscriptions: Subscriptions[BroadcastHandler]) -> None:
    """Give broadcasts that came to those who want them."""
    wanted: dict[tuple[str, str | None], list[BroadcastHandler]] = {}
    for broadcast in together.messages:
        about = sender_key(broadcast.sender), broadcast.subject
        handlers = wanted.get(about)
        if handlers is None:
            handlers = wanted[about] = subscriptions.matching(broadcast.sender, broadcast.subject)
        if handlers:
            _hand_over_one(broadcast, handlers)


def _hand_over_one(broadcast: Broadcast, handlers: Iterable[BroadcastHandler]) -> None:
    """Read a broadcast and give it to these; one that cannot be read is dropped."""
    try:
        message = unpack_broadcast(broadcast)
    except UnreadableMessage as error:
        log.warning("a broadcast is dropped: %(error)s", error=error)
        return
    for handler in handlers:
        try:
            handler(message)
        except Exception:  # what comes next, and the others, are to be heard
            log.exception("a subscriber to broadcasts failed", subject=message.subject)


def body_size(body: Any) -> int:
    """Bytes of an encoded body; 0 for one that comes from elsewhere and is not encoded yet."""
    return len(memoryview(body)) if isinstance(body, msgspec.Raw) else 0
