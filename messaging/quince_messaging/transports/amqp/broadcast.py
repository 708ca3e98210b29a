"""Broadcasts over a topic exchange, joined into few messages and filtered by the broker first.

Broadcasts of one turn of the loop travel as one message with all their routing keys (`CC`), so a
queue gets it once if it wants any of them; the client picks out what each subscriber wants.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from quince_messaging.contract import BroadcastHandler, BroadcastMessage, SubjectFilter
from quince_messaging.errors import UnreadableMessage
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.channel import BrokerChannel
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.frames import Delivery, text_array_field
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import Names, binding_keys, broadcast_key
from quince_messaging.wire.broadcasts import hand_over, in_pieces
from quince_messaging.wire.envelope import Broadcast, Broadcasts, decode, encode, pack_broadcasts
from quince_messaging.wire.filters import Subscriptions

log = StructuredLogger(__name__)

MOST_TOGETHER = 128
MOST_BYTES = 100_000


class Broadcasting:
    """The sending and the receiving side of one communicator."""

    def __init__(self, session: Session, names: Names) -> None:
        self._session = session
        self._exchange = names.broadcast
        self._subscriptions: Subscriptions[BroadcastHandler] = Subscriptions()
        self._bound: Counter[str] = Counter()
        self._channel: BrokerChannel | None = None
        self._out: BrokerChannel | None = None
        self._queue = ""
        self._opening = asyncio.Lock()
        self._outbox: list[Broadcast] = []

    async def restore(self, connection: BrokerConnection) -> None:
        """Open the channels on a new connection, and the queue if anybody subscribes."""
        self._out = out = await connection.sending.channel()
        channel = await connection.channel()
        for opened in (channel, out):
            opened.on_closed = lambda error: self._closed(connection, error)
        channel.on_cancelled = lambda _tag: self._session.broken(
            connection, "the broadcast queue was deleted"
        )
        self._queue = ""
        if self._subscriptions:
            await self._open_queue(channel)
            await topology.bind(channel, self._queue, self._exchange, self._bound)
        self._channel = channel

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send, with the others of this turn of the loop."""
        packed = pack_broadcasts(messages).messages
        connection = self._session.live_connection or await self._session.ready()
        await connection.sending.writable()
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox += packed

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter) -> str:
        """Receive what matches; the broker's bindings stand on return."""
        await self._session.ready()
        identifier = self._subscriptions.add(handler, wanted)
        try:
            async with self._opening:
                await self._bind(binding_keys(wanted))
        except BaseException:
            self._subscriptions.remove(identifier)
            raise
        return identifier

    async def unsubscribe(self, identifier: str) -> None:
        """Stop receiving, and unbind what nobody else wants."""
        keys = binding_keys(self._subscriptions.remove(identifier))
        async with self._opening:
            self._bound.subtract(keys)
            unused = [key for key in keys if self._bound[key] <= 0]
            for key in unused:
                del self._bound[key]
            if self._channel is not None and self._channel.usable and self._queue:
                await topology.unbind(self._channel, self._queue, self._exchange, unused)

    async def _bind(self, keys: set[str]) -> None:
        new = [key for key in keys if self._bound[key] <= 0]
        channel = self._channel
        if channel is not None:
            if not self._queue:
                await self._open_queue(channel)
            await topology.bind(channel, self._queue, self._exchange, new)
        self._bound.update(keys)

    async def _open_queue(self, channel: BrokerChannel) -> None:
        queue = await topology.declare_inbox(channel)
        await channel.consume(queue, "broadcasts", self._received, no_ack=True, exclusive=True)
        self._queue = queue

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        channel = self._out
        if channel is None or not channel.usable:
            log.warning("%(count)d broadcasts are lost: the broker is away", count=len(outbox))
            return
        for batch in in_pieces(outbox, MOST_BYTES, MOST_TOGETHER):
            self._send(channel, batch)

    def _send(self, channel: BrokerChannel, batch: list[Broadcast]) -> None:
        keys = list(dict.fromkeys(broadcast_key(m.sender, m.subject) for m in batch))
        headers = (("CC", text_array_field(keys[1:])),) if len(keys) > 1 else ()
        channel.publish(self._exchange, keys[0], [encode(Broadcasts(batch))], headers=headers)

    def _received(self, _about: Delivery, _header: bytes, body: bytes) -> None:
        try:
            message = decode(body)
        except UnreadableMessage as error:
            log.warning("a broadcast is dropped: %(error)s", error=error)
            return
        if isinstance(message, Broadcasts):
            hand_over(message, self._subscriptions)

    def _closed(self, connection: BrokerConnection, error: BaseException | None) -> None:
        self._channel = None
        self._session.broken(connection, f"the channel of the broadcasts was closed ({error!r})")
