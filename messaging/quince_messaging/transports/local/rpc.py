"""RPC between communicators, and the answers to tasks that asked for one.

Who serves an identifier stands in the task file; a caller remembers what it read there until that
communicator goes or says that it serves it no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from quince_messaging.contract import RpcHandler
from quince_messaging.errors import (
    DuplicateSubscriber,
    MessagingError,
    UnroutableError,
)
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.frames import Nobody
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.peers import Peers
from quince_messaging.wire.batching import TurnBatches
from quince_messaging.wire.broadcasts import body_size
from quince_messaging.wire.calls import Answering, PendingCalls, encode_replies, packed
from quince_messaging.wire.envelope import Address, Call, Calls, Replies, Reply, decode, encode, pack

_log = StructuredLogger(__name__)

SMALL = 4096
"""Bytes of a body up to which calls travel together."""


class Rpc:
    """Both ends of RPC for one communicator. Lives on the event loop."""

    def __init__(self, group_commit: GroupCommit, peers: Peers) -> None:
        self._group_commit = group_commit
        self._peers = peers
        self._pending = PendingCalls()
        self._handlers: dict[str, RpcHandler] = {}
        self._routes: dict[str, str] = {}
        self._replies = TurnBatches(self._send_replies)
        self._calls = TurnBatches(self._send_calls)
        self._answering = Answering(lambda to, reply: self.reply([(to.inbox, reply)]))

    async def close(self) -> None:
        """Stop the handlers that run, and tell their callers; calls that wait here fail."""
        self._pending.close()
        await self._answering.close()
        self._replies.flush()
        self._pending.close()  # also those that were just being made

    # Asking

    def expect(self) -> tuple[Address, asyncio.Future[Any]]:
        """An address for an answer, and the future of that answer."""
        number, future = self._pending.ask()
        return Address(self._peers.name, number), future

    async def ask(self, identifier: str, body: Any) -> asyncio.Future[Any]:
        address, future = self.expect()
        try:
            await self._send(Call(identifier, body, address))
        except BaseException:
            future.cancel()
            raise
        return future

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        """Small calls of one turn of the loop travel together."""
        peer = self._routes.get(identifier)
        if peer is None or peer == self._peers.name:
            return None
        body = pack(body)
        if body_size(body) > SMALL:
            self._calls.flush()  # those before it
            return self._ask_alone(peer, identifier, body)
        address, future = self.expect()
        call = Call(identifier, body, address)
        self._pending.note(address.call, (peer, call))
        self._calls.add(peer, call)
        return future

    def _ask_alone(self, peer: str, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        address, future = self.expect()
        call = Call(identifier, body, address)
        try:
            sent = self._peers.send(peer, encode(call))
        except BaseException:
            future.cancel()
            raise
        if not sent:
            future.cancel()
            return None
        self._pending.note(address.call, (peer, call))
        return future

    def _send_calls(self, peer: str, calls: list[Call]) -> None:
        try:
            sent = self._peers.send(peer, encode(Calls(calls)))
        except Exception:  # one by one then, so that only those at fault fail
            _log.exception("calls could not be sent together", communicator=peer, count=len(calls))
            sent = False
        if not sent:
            self._peers.spawn(self._send_by_and_by(calls))
        self._peers.flush(peer)

    async def _send_by_and_by(self, calls: Sequence[Call]) -> None:
        """Send calls one by one, to a peer that reads slowly or has gone."""
        for call in calls:
            try:
                await self._send(call)
            except Exception as error:
                if call.reply_to is not None:
                    self._pending.fail(call.reply_to.call, error)

    async def cast(self, identifier: str, body: Any) -> None:
        await self._send(Call(identifier, body))

    async def _send(self, call: Call) -> None:
        """Send a call to whoever serves its identifier. Raises UnroutableError."""
        identifier = call.identifier
        peer = self._routes.get(identifier) or await self._find(identifier)
        if call.reply_to is not None:
            self._pending.note(call.reply_to.call, (peer, call))
        if peer == self._peers.name:
            mine = decode(encode(call))  # as if it had travelled: a copy, and no more than msgpack carries
            if isinstance(mine, Call):
                asyncio.get_running_loop().call_soon(self.called, peer, mine)
            return
        payload = encode(call)
        if self._peers.send(peer, payload):
            return
        if not (await self._peers.reach(peer) and await self._peers.send_in_time(peer, payload)):
            self._routes.pop(identifier, None)
            raise UnroutableError(f"nobody answers at {identifier!r}: its communicator is gone or frozen")

    async def _find(self, identifier: str) -> str:
        peer = await self._group_commit.run(lambda file: file.who_serves(identifier))
        if peer is None:
            raise UnroutableError(f"nobody serves {identifier!r}")
        self._routes[identifier] = peer
        return peer

    def replied(self, replies: Sequence[Reply]) -> None:
        """Answers came."""
        for reply in replies:
            self._pending.settle(reply)

    def nobody(self, call: int) -> None:
        """The communicator that was asked does not serve that identifier (any more): who does?"""
        if call not in self._pending.notes:
            return
        peer, asked = self._pending.notes[call]
        self._forget_routes(peer)
        self._peers.spawn(self._ask_another(call, peer, asked))

    async def _ask_another(self, call: int, peer: str, asked: Call) -> None:
        try:
            if await self._find(asked.identifier) == peer:  # it has gone on to say that it does not
                raise UnroutableError(f"nobody serves {asked.identifier!r} any more")
            await self._send(asked)
        except MessagingError as error:
            self._pending.fail(call, error)

    def gone(self, peer: str) -> None:
        """A communicator has gone: what was asked of it will not be answered."""
        self._forget_routes(peer)
        for call in [call for call, (asked, _) in self._pending.notes.items() if asked == peer]:
            self._pending.fail(call, UnroutableError("its server went before it answered"))

    def _forget_routes(self, peer: str | None) -> None:
        for identifier in [i for i, server in self._routes.items() if server == peer]:
            del self._routes[identifier]

    # Answering

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        if identifier in self._handlers:
            raise DuplicateSubscriber(f"{identifier!r} is served here already")
        self._handlers[identifier] = handler
        try:
            await self._register(identifier)
        except BaseException:
            del self._handlers[identifier]
            raise

    async def _register(self, identifier: str) -> None:
        mine = self._peers.name
        server = await self._group_commit.run(lambda file: file.add_identifier(identifier, mine))
        if server != mine and not await self._peers.reach(server):  # it died: it is cleaned up by now
            server = await self._group_commit.run(lambda file: file.add_identifier(identifier, mine))
        if server != mine:
            raise DuplicateSubscriber(f"{identifier!r} is served by another communicator ({server})")

    async def unserve(self, identifier: str) -> None:
        if identifier not in self._handlers:
            raise ValueError(f"no RPC subscriber {identifier!r}")
        del self._handlers[identifier]
        mine = self._peers.name
        self._routes.pop(identifier, None)
        await self._group_commit.run(lambda file: file.remove_identifier(identifier, mine))

    def called(self, peer: str, call: Call) -> None:
        """A call came."""
        handler = self._handlers.get(call.identifier)
        if handler is None:
            if call.reply_to is not None and peer == self._peers.name:
                self.nobody(call.reply_to.call)
            elif call.reply_to is not None:
                self._peers.send_note(peer, Nobody(call.reply_to.call))
            return
        self._answering.begin(handler, call)

    def reply(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Send answers to the communicators that wait for them, with the others of this turn of the loop.

        Those that are gone get none.
        """
        for inbox, reply in replies:
            self._replies.add(inbox, packed(reply))

    def _send_replies(self, inbox: str, replies: list[Reply]) -> None:
        try:
            for payload in encode_replies(replies):
                self._send_reply(inbox, payload)
        except Exception:  # those of others are to be sent
            _log.exception(
                "answers to communicator %(communicator)s could not be sent",
                communicator=inbox[:40],
                count=len(replies),
            )

    def _send_reply(self, inbox: str, payload: bytes) -> None:
        if inbox == self._peers.name:
            mine = decode(payload)
            if isinstance(mine, Replies):
                asyncio.get_running_loop().call_soon(self.replied, mine.replies)
        elif not self._peers.send_now(inbox, payload):
            _log.debug("communicator %(communicator)s is gone; its answers are dropped", communicator=inbox)
