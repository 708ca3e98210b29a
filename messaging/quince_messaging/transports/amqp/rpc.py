"""RPC over one inbox: an exclusive queue, bound under every identifier served here.

The calls of this communicator leave from `rpc_calls`; here their answers come in, and the calls of others,
which are answered. Answers to one inbox that are made in the same turn of the loop travel as one message.
"""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any

from pamqp import commands

from quince_messaging.contract import RpcHandler
from quince_messaging.errors import (
    DuplicateSubscriber,
    MessagingError,
    UnreadableMessage,
    UnroutableError,
)
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.channel import BrokerChannel, needed
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.frames import Delivery
from quince_messaging.transports.amqp.rpc_calls import STILL_WORKED_ON, WHO_SERVES, OutgoingCalls
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import Names, call_key, inbox_key
from quince_messaging.wire.batching import TurnBatches
from quince_messaging.wire.calls import Answering, encode_replies, error_reply, packed
from quince_messaging.wire.envelope import Address, Call, Calls, Replies, Reply, Status, decode, encode

log = StructuredLogger(__name__)

MOST_UNSENT = 10_000
"""Answers that wait for the connection; the oldest go first when there are more."""


class Rpc:
    """The inbox of one communicator, and the answering side of it.

    Attributes:
        calls: The calling side.
    """

    def __init__(self, session: Session, names: Names) -> None:
        self.inbox = uuid.uuid4().hex
        self.calls = OutgoingCalls(session, self.inbox, names.rpc)
        self._session = session
        self._exchange = names.rpc
        self._handlers: dict[str, RpcHandler] = {}
        self._queue = ""
        self._channel: BrokerChannel | None = None
        self._out: BrokerChannel | None = None
        self._replies = TurnBatches(self._send_replies, self._flush)
        self._unsent: deque[tuple[str, bytes]] = deque(maxlen=MOST_UNSENT)
        self._answering = Answering(self.reply, self._reply_here)

    async def restore(self, connection: BrokerConnection) -> None:
        """Open the inbox on a new connection, bound as it was, and the channels to send on."""
        self._out = await connection.sending.channel()
        confirmed = await connection.sending.channel(confirms=True)
        self.calls.restore(self._out, confirmed)
        for out in (self._out, confirmed):
            out.on_closed = lambda error: self._session.broken(
                connection, f"a channel for calls was closed ({error!r})"
            )
        channel = await connection.channel()
        self._queue = await topology.declare_inbox(channel)
        keys = [inbox_key(self.inbox), *map(call_key, self._handlers)]
        await topology.bind(channel, self._queue, self._exchange, keys)
        await channel.consume(self._queue, "inbox", self.received, no_ack=True, exclusive=True)
        channel.on_closed = lambda error: self._closed(connection, error)
        channel.on_cancelled = lambda _tag: self._session.broken(connection, "the inbox was deleted")
        self._channel = channel
        for _ in range(len(self._unsent)):
            self._send_answer(*self._unsent.popleft())

    async def stop(self) -> None:
        """Stop the handlers; their callers hear of it with the connection's last messages."""
        await self._answering.close()

    async def before_close(self) -> None:
        """Take the inbox away: from now on calls to it are unroutable, not lost."""
        self.calls.flush()
        self._replies.flush()
        if self._channel is not None and self._channel.usable:
            await self._channel.rpc(commands.Queue.Delete(queue=self._queue))

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        """Answer calls to an identifier. Raises DuplicateSubscriber if somebody alive does so."""
        if identifier in self._handlers:
            raise DuplicateSubscriber(f"{identifier!r} has an RPC subscriber already")
        await self._session.ready()
        if await self._is_served(identifier):
            raise DuplicateSubscriber(f"{identifier!r} has an RPC subscriber elsewhere")
        self._handlers[identifier] = handler
        try:
            await topology.bind(needed(self._channel), self._queue, self._exchange, [call_key(identifier)])
        except BaseException:
            self._handlers.pop(identifier, None)
            raise

    async def unserve(self, identifier: str) -> None:
        """Stop answering."""
        if identifier not in self._handlers:
            raise ValueError(f"no RPC subscriber {identifier!r}")
        del self._handlers[identifier]
        if self._channel is not None and self._channel.usable:
            await topology.unbind(self._channel, self._queue, self._exchange, [call_key(identifier)])

    async def _is_served(self, identifier: str) -> bool:
        """Whether somebody answers there: a binding of one who died unnoticed does not count."""
        try:
            return bool(await self.calls.question(WHO_SERVES, identifier, identifier))
        except (UnroutableError, TimeoutError):
            return False

    # Sending answers

    def reply(self, address: Address, reply: Reply) -> None:
        """Send an answer, with the others of this turn of the loop."""
        self._replies.add(address.inbox, packed(reply))

    def _reply_here(self, address: Address, reply: Reply) -> bool:
        """From any thread: send an answer at once, if no other waits to be sent."""
        channel = self._out
        if channel is None or self._replies:
            return False
        try:
            return channel.publish_here(self._exchange, inbox_key(address.inbox), encode(Replies([reply])))
        except (MessagingError, ValueError):  # the loop tells the caller, or that nobody can be told
            return False

    def _flush(self) -> None:
        """Somebody waits for these answers: they leave now, not a turn of the loop later."""
        if self._out is not None:
            self._out.flush()

    def _send_replies(self, inbox: str, replies: list[Reply]) -> None:
        for message in encode_replies(replies):
            self._send_answer(inbox, message)

    def _send_answer(self, inbox: str, answer: bytes) -> None:
        """Send an answer, or keep it until the connection is back.

        One to an address that no broker has is dropped: it came with a call that somebody else has made up.
        """
        if self._out is None or not self._out.usable:
            self._unsent.append((inbox, answer))
            return
        try:
            self._out.publish(self._exchange, inbox_key(inbox), [answer])
        except Exception as error:  # those of others are to be sent
            log.warning(
                "an answer is dropped, for it cannot be sent to its address: %(error)s",
                communicator=inbox,
                error=error,
            )

    # Receiving

    def received(self, _about: Delivery, _header: bytes, body: bytes) -> None:
        """Calls, or answers, came."""
        try:
            message = decode(body)
        except UnreadableMessage as error:
            log.warning("a message to this communicator is dropped: %(error)s", error=error)
            return
        if isinstance(message, Replies):
            for reply in message.replies:
                self.calls.pending.settle(reply)
        elif isinstance(message, Calls):
            for call in message.calls:
                self._answer(call)
        elif isinstance(message, Call):
            self._answer(message)

    def _answer(self, call: Call) -> None:
        try:
            self._answer_one(call)
        except Exception:  # those that came with it are to be answered
            log.exception(
                "a call cannot be answered", communicator=call.reply_to.inbox if call.reply_to else None
            )

    def _answer_one(self, call: Call) -> None:
        handler = self._handlers.get(call.identifier)
        if handler is not None:
            self._answering.begin(handler, call)
        elif call.reply_to is None:
            return
        elif call.identifier in (WHO_SERVES, STILL_WORKED_ON):
            self.reply(call.reply_to, Reply(call.reply_to.call, Status.RESULT, self._about_self(call)))
        else:
            nobody = UnroutableError(f"nobody listens at {call.identifier!r} any more")
            self.reply(call.reply_to, error_reply(call.reply_to.call, nobody))

    def _about_self(self, call: Call) -> Any:
        if call.identifier == WHO_SERVES:
            return isinstance(call.body, str) and call.body in self._handlers
        try:
            inbox, numbers = call.body
            return self._answering.among(inbox, numbers)
        except (TypeError, ValueError):
            return []

    def _closed(self, connection: BrokerConnection, error: BaseException | None) -> None:
        self._channel = None
        if self._session.closed:
            return
        self.calls.connection_lost()
        self._session.broken(connection, f"the channel of the inbox was closed ({error!r})")
