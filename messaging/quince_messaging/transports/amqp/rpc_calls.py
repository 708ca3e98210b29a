"""Calls that leave over a connection, until they are answered, returned or given up.

Calls to one identifier that are made in the same turn of the loop travel as one message. It is mandatory:
if no inbox is bound under its identifier the broker returns it. Only who waits for that asks for a
confirmation; it costs the broker and both programs about a tenth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.transports.amqp.call_watch import CallWatch
from quince_messaging.transports.amqp.channel import BrokerChannel, Receipt, needed
from quince_messaging.transports.amqp.session import Session
from quince_messaging.transports.amqp.topology import call_key
from quince_messaging.wire.batching import TurnBatches
from quince_messaging.wire.calls import PendingCalls
from quince_messaging.wire.envelope import Address, Call, Calls, decode, encode, pack

PROBE_TIMEOUT = 2.0
WHO_SERVES = "\x00who"
STILL_WORKED_ON = "\x00still"
"""Identifiers of questions to a communicator itself, not to a handler of it."""


class OutgoingCalls:
    """The calling side of RPC of one communicator.

    Args:
        inbox: Where the answers come.
        exchange: Where the calls go.
    """

    def __init__(self, session: Session, inbox: str, exchange: str) -> None:
        self.pending = PendingCalls()
        self._session = session
        self._inbox = inbox
        self._exchange = exchange
        self._loop: asyncio.AbstractEventLoop | None = None
        self._out: BrokerChannel | None = None
        self._confirmed: BrokerChannel | None = None
        self._calls = TurnBatches(self._send_calls, self._flush)
        self._call_watch = CallWatch(self._worked_on, self.pending.fail, session.spawn)
        self._routing: dict[int, asyncio.Future[None]] = {}

    def restore(self, out: BrokerChannel, confirmed: BrokerChannel) -> None:
        """Send over these channels from now on, which are new."""
        self._loop = asyncio.get_running_loop()
        out.on_returned = self._returned
        self._out, self._confirmed = out, confirmed

    def flush(self) -> None:
        """Send now what was called in this turn of the loop."""
        self._calls.flush()

    def connection_lost(self) -> None:
        """The answers to all calls were lost with their inbox."""
        self._call_watch.fail_all("the connection was lost before the answer came")

    async def ask(self, identifier: str, body: Any, *, routed: bool) -> asyncio.Future[Any]:
        """Call; ends with the future of the answer, on request only when the broker has routed the call."""
        packed = pack(body)
        await self._session.ready()
        number, future = self._ask(identifier, packed, confirmed=routed)
        if routed:
            await self._until_routed(number, future)
        return future

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        """Call, if the connection is there; the future of the answer also tells if nobody was."""
        if self._session.live_connection is None:
            return None
        packed = pack(body)
        _, future = self._ask(identifier, packed)
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
        number, future = self.pending.ask(self._loop)
        self._watch(number, identifier, future)
        attend(future)
        try:
            data = encode(Calls([Call(identifier, pack(body), Address(self._inbox, number))]))
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
        self, identifier: str, packed: msgspec.Raw, *, confirmed: bool = False
    ) -> tuple[int, asyncio.Future[Any]]:
        number, future = self.pending.ask()
        self._watch(number, identifier, future)
        self.queue_call(
            identifier, Call(identifier, packed, Address(self._inbox, number)), confirmed=confirmed
        )
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
        channel = needed(self._confirmed)
        channel.publish(self._exchange, call_key(identifier), [data], receipt=receipt, mandatory=True)
        try:
            await receipt.future
        except UnroutableError as error:
            raise UnroutableError(f"nobody listens at {identifier!r}") from error

    async def _worked_on(self, identifier: str, numbers: list[int]) -> list[int]:
        """Which of our calls somebody still works on there."""
        return list(await self.question(STILL_WORKED_ON, identifier, [self._inbox, numbers]))

    async def question(self, what: str, identifier: str, body: Any) -> Any:
        """Ask the communicator itself that serves an identifier, not its handler."""
        number, future = self.pending.ask()
        self.queue_call(identifier, Call(what, pack(body), Address(self._inbox, number)))
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                return await future
        finally:
            future.cancel()

    def queue_call(self, to: str, call: Call, *, confirmed: bool = False) -> None:
        self._calls.add((to, confirmed), call)

    def _flush(self) -> None:
        """Somebody waits for the answers: the calls leave now, not a turn of the loop later."""
        if self._out is not None:
            self._out.flush()

    def _send_calls(self, receiver: tuple[str, bool], calls: list[Call]) -> None:
        to, confirmed = receiver
        receipt = Receipt(1) if confirmed else None
        if receipt is not None:
            receipt.future.add_done_callback(lambda done: self._routed(calls, done.exception()))
        try:
            channel = needed(self._confirmed if confirmed else self._out)
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
