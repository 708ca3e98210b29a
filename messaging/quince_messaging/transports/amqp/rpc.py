"""Calls and answers over one inbox: an exclusive queue, bound under every identifier served here.

Calls to one identifier, and answers to one inbox, that are made in the same turn of the loop travel
as one message. A call is mandatory: if no inbox is bound under its identifier the broker returns it.
Only who waits for that asks for a confirmation; it costs the broker and both programs about a tenth.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from pamqp import commands

from quince_messaging.contract import RpcHandler
from quince_messaging.errors import (
    DuplicateSubscriber,
    MessageTimeout,
    MessagingError,
    ReconnectingError,
    UnreadableMessage,
    UnroutableError,
)
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.amqp import topology
from quince_messaging.transports.amqp.call_watch import CallWatch
from quince_messaging.transports.amqp.channel import BrokerChannel, Receipt
from quince_messaging.transports.amqp.connection import BrokerConnection
from quince_messaging.transports.amqp.frames import Delivery
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import Names, call_key, inbox_key
from quince_messaging.wire.batching import TurnBatches
from quince_messaging.wire.calls import Answering, PendingCalls, encode_replies, error_reply, packed
from quince_messaging.wire.envelope import Address, Call, Calls, Replies, Reply, Status, decode, encode, pack

log = StructuredLogger(__name__)

MOST_UNSENT = 10_000
"""Answers that wait for the connection; the oldest go first when there are more."""
PROBE_TIMEOUT = 2.0
_PROBE = "\x00who"
_STILL = "\x00still"


class Rpc:
    """The calling and the answering side of one communicator."""

    def __init__(self, session: Session, names: Names) -> None:
        self.inbox = uuid.uuid4().hex
        self.pending = PendingCalls()
        self._session = session
        self._exchange = names.rpc
        self._handlers: dict[str, RpcHandler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = ""
        self._channel: BrokerChannel | None = None
        self._out: BrokerChannel | None = None
        self._confirmed: BrokerChannel | None = None
        self._calls = TurnBatches(self._send_calls, self._flush)
        self._replies = TurnBatches(self._send_replies, self._flush)
        self._call_watch = CallWatch(self._worked_on, self.pending.fail, session.spawn)
        self._unsent: deque[tuple[str, bytes]] = deque(maxlen=MOST_UNSENT)
        self._answering = Answering(self.reply, self._reply_here)
        self._routing: dict[int, asyncio.Future[None]] = {}

    async def restore(self, connection: BrokerConnection) -> None:
        """Open the inbox on a new connection, bound as it was, and the channels to send on."""
        self._loop = asyncio.get_running_loop()
        self._out = await connection.sending.channel()
        self._out.on_returned = self._returned
        self._confirmed = await connection.sending.channel(confirms=True)
        for out in (self._out, self._confirmed):
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

    async def farewell(self) -> None:
        """Take the inbox away: from now on calls to it are unroutable, not lost."""
        self._calls.flush()
        self._replies.flush()
        if self._channel is not None and self._channel.usable:
            await self._channel.rpc(commands.Queue.Delete(queue=self._queue))

    # Calling

    async def call(self, identifier: str, body: Any, timeout: float | None) -> Any:
        """Call and await the answer."""
        packed = pack(body)
        await self._session.ready()
        number, future = self._ask(identifier)
        try:
            self._queue_call(identifier, Call(identifier, packed, Address(self.inbox, number)))
            if timeout is None:
                return await future
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError as error:
            raise MessageTimeout(f"no answer from {identifier!r} within {timeout:g} s") from error
        finally:
            future.cancel()

    async def ask(self, identifier: str, body: Any, *, routed: bool) -> asyncio.Future[Any]:
        """Call; ends with the future of the answer, on request only when the broker has routed the call."""
        packed = pack(body)
        await self._session.ready()
        number, future = self._ask(identifier)
        call = Call(identifier, packed, Address(self.inbox, number))
        self._queue_call(identifier, call, confirmed=routed)
        if routed:
            await self._until_routed(number, future)
        return future

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        """Call, if the connection is there; the future of the answer also tells if nobody was."""
        if self._session.live_connection is None:
            return None
        packed = pack(body)
        number, future = self._ask(identifier)
        self._queue_call(identifier, Call(identifier, packed, Address(self.inbox, number)))
        return future

    def ask_here(self, identifier: str, body: Any, attend: Callable[[asyncio.Future[Any]], None]) -> bool:
        """From any thread: call at once if no other call waits, its answer attended to; False if not.

        Of many, the calls of one turn of the loop go together, which is cheaper for everybody.
        """
        channel = self._out
        if (
            self._loop is None
            or channel is None
            or self._session.live_connection is None
            or len(self.pending)
        ):
            return False
        number, future = self._ask(identifier, self._loop)
        attend(future)
        try:
            data = encode(Calls([Call(identifier, pack(body), Address(self.inbox, number))]))
            sent = channel.publish_here(self._exchange, call_key(identifier), data, mandatory=True)
        except (MessagingError, ValueError):  # the loop tells the caller
            sent = False
        if not sent:
            self.pending.forget(number)
            self._call_watch.discard(number)
        return sent

    async def _until_routed(self, number: int, future: asyncio.Future[Any]) -> None:
        routed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._routing[number] = routed
        try:
            await routed
        except BaseException:
            self._routing.pop(number, None)
            future.cancel()
            raise

    def _ask(
        self, identifier: str, loop: asyncio.AbstractEventLoop | None = None
    ) -> tuple[int, asyncio.Future[Any]]:
        number, future = self.pending.ask(loop)
        self._watch(number, identifier, future)
        return number, future

    def _watch(self, number: int, identifier: str, future: asyncio.Future[Any]) -> None:
        """Have it looked after until the answer has come, in however many stages it does."""

        def ended(done: asyncio.Future[Any]) -> None:
            if done.cancelled() or done.exception() or not isinstance(done.result(), asyncio.Future):
                self._call_watch.discard(number)
            else:
                done.result().add_done_callback(ended)

        self._call_watch.add(number, identifier, future.get_loop())
        future.add_done_callback(ended)

    async def cast(self, identifier: str, body: Any) -> None:
        """Call without an answer; ends when the broker has routed it."""
        await self._session.ready()
        receipt = Receipt(1)
        data = encode(Calls([Call(identifier, pack(body))]))
        channel = self._need(self._confirmed)
        channel.publish(self._exchange, call_key(identifier), [data], receipt=receipt, mandatory=True)
        try:
            await receipt.future
        except UnroutableError as error:
            raise UnroutableError(f"nobody listens at {identifier!r}") from error

    def _reply_here(self, address: Address, reply: Reply) -> bool:
        """From any thread: send an answer at once, if no other waits to be sent."""
        channel = self._out
        if channel is None or self._replies:
            return False
        try:
            return channel.publish_here(self._exchange, inbox_key(address.inbox), encode(Replies([reply])))
        except (MessagingError, ValueError):  # the loop tells the caller, or that nobody can be told
            return False

    def reply(self, address: Address, reply: Reply) -> None:
        """Send an answer, with the others of this turn of the loop."""
        self._replies.add(address.inbox, packed(reply))

    # Answering

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        """Answer calls to an identifier. Raises DuplicateSubscriber if somebody alive does so."""
        if identifier in self._handlers:
            raise DuplicateSubscriber(f"{identifier!r} has an RPC subscriber already")
        await self._session.ready()
        if await self._is_served(identifier):
            raise DuplicateSubscriber(f"{identifier!r} has an RPC subscriber elsewhere")
        self._handlers[identifier] = handler
        try:
            channel = self._need(self._channel)
            await topology.bind(channel, self._queue, self._exchange, [call_key(identifier)])
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
            return bool(await self._question(_PROBE, identifier, identifier))
        except (UnroutableError, TimeoutError):
            return False

    async def _worked_on(self, identifier: str, numbers: list[int]) -> list[int]:
        """Which of our calls somebody still works on there."""
        return list(await self._question(_STILL, identifier, [self.inbox, numbers]))

    async def _question(self, what: str, identifier: str, body: Any) -> Any:
        """Ask the communicator itself that serves an identifier, not its handler."""
        number, future = self.pending.ask()
        self._queue_call(identifier, Call(what, pack(body), Address(self.inbox, number)))
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                return await future
        finally:
            future.cancel()

    # Sending, joined by turn of the loop

    def _queue_call(self, to: str, call: Call, *, confirmed: bool = False) -> None:
        self._calls.add((to, confirmed), call)

    def _flush(self) -> None:
        """Somebody waits for what was sent in this turn of the loop: not a turn later."""
        if self._out is not None:
            self._out.flush()

    def _send_calls(self, receiver: tuple[str, bool], calls: list[Call]) -> None:
        to, confirmed = receiver
        receipt = Receipt(1) if confirmed else None
        if receipt is not None:
            receipt.future.add_done_callback(lambda done: self._routed(calls, done.exception()))
        try:
            channel = self._need(self._confirmed if confirmed else self._out)
            data = encode(Calls(calls))
            channel.publish(self._exchange, call_key(to), [data], receipt=receipt, mandatory=True)
        except Exception as error:  # whatever it is: their callers wait, and so do the calls after them
            self._routed(calls, error)

    def _routed(self, calls: list[Call], error: BaseException | None) -> None:
        """The broker has found somebody for calls, or not."""
        for call in calls:
            if call.reply_to is None:
                continue
            number = call.reply_to.call
            told = error
            if isinstance(error, UnroutableError):
                told = UnroutableError(f"nobody listens at {call.identifier!r}")
            routed = self._routing.pop(number, None)
            if told is not None:
                self.pending.fail(number, told)
            if routed is None or routed.done():
                continue
            if told is None:
                routed.set_result(None)
            else:
                routed.set_exception(told)

    def _returned(self, body: bytes) -> None:
        """Calls that nobody waited to see routed came back."""
        message = decode(body)
        if isinstance(message, Calls):
            self._routed(message.calls, UnroutableError("nobody listens there"))

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
                self.pending.settle(reply)
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
        elif call.identifier in (_PROBE, _STILL):
            self.reply(call.reply_to, Reply(call.reply_to.call, Status.RESULT, self._about_self(call)))
        else:
            nobody = UnroutableError(f"nobody listens at {call.identifier!r} any more")
            self.reply(call.reply_to, error_reply(call.reply_to.call, nobody))

    def _about_self(self, call: Call) -> Any:
        if call.identifier == _PROBE:
            return isinstance(call.body, str) and call.body in self._handlers
        try:
            inbox, numbers = call.body
            return self._answering.among(inbox, numbers)
        except (TypeError, ValueError):
            return []

    def _need(self, channel: BrokerChannel | None) -> BrokerChannel:
        if channel is None or not channel.usable:
            raise ReconnectingError("the broker is away just now")
        return channel

    def _closed(self, connection: BrokerConnection, error: BaseException | None) -> None:
        self._channel = None
        if self._session.closed:
            return
        self._call_watch.fail_all("the connection was lost before the answer came")
        self._session.broken(connection, f"the channel of the inbox was closed ({error!r})")
