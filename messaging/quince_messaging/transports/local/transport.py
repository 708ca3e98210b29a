"""The `local://DIR` transport: messages between processes of one machine, with no server.

Tasks are rows of a SQLite file; RPC, broadcasts and doorbells go over Unix sockets, one connection
for each pair of communicators; a held file lock tells the living from the dead. Nothing polls.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from quince_messaging.at_fork import nothing_to_release, release_in_children
from quince_messaging.contract import (
    EVERYTHING,
    BroadcastHandler,
    BroadcastMessage,
    DeadLetter,
    LinkState,
    RpcHandler,
    SubjectFilter,
    TaskBatchCallback,
    TaskConsumer,
    TaskHandle,
    Transport,
)
from quince_messaging.errors import CommunicatorClosed, CommunicatorForked, ConnectionFailed
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.directory import Directory
from quince_messaging.transports.local.file_lock import LockTimeout
from quince_messaging.transports.local.frames import Bell, Nobody
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.peers import Peers
from quince_messaging.transports.local.queues import Queues
from quince_messaging.transports.local.registration import Registration, register
from quince_messaging.transports.local.registration_watch import RegistrationWatch
from quince_messaging.transports.local.rpc import Rpc
from quince_messaging.transports.local.task_db import TaskDb
from quince_messaging.wire.broadcasts import hand_over, in_envelopes
from quince_messaging.wire.calls import in_time
from quince_messaging.wire.envelope import Broadcasts, Call, Calls, Envelope, Replies, encode
from quince_messaging.wire.filters import Subscriptions, sender_key

_log = StructuredLogger(__name__)


class LocalTransport(Transport):
    """One communicator of a directory.

    Args:
        directory: Made if it is missing. It must be on a local disk (SQLite and file locks need that).
        prefix: Communicators of other prefixes share nothing with this one.
    """

    def __init__(self, directory: Path, *, prefix: str = "quince") -> None:
        super().__init__()
        self._directory = Directory(directory, prefix)
        self._subscribers: Subscriptions[BroadcastHandler] = Subscriptions()
        self._process = 0
        self._broadcasting = asyncio.Lock()
        self._registration: Registration
        self._file: TaskDb
        self._group_commit: GroupCommit
        self._peers: Peers
        self._registration_watch: RegistrationWatch
        self._queues: Queues
        self._rpc: Rpc

    async def open(self) -> None:
        """Connect, and clean up after communicators that died in this directory."""
        self._process = os.getpid()
        self._directory.prepare()
        self._directory.sweep()
        self._registration = register(self._directory)
        try:
            await self._open()
        except BaseException:
            self._registration.remove()
            raise
        release_in_children(self, self._descriptors, self._file.close_in_child)
        self.enter(LinkState.CONNECTED)

    def _descriptors(self) -> list[int]:
        return [*self._registration.descriptors(), *self._file.descriptors(), *self._peers.descriptors()]

    async def _open(self) -> None:
        self._file = TaskDb(self._directory.tasks, self._directory.task_lock)
        self._group_commit = GroupCommit(self._file)
        try:
            await self._group_commit.open()
        except (sqlite3.Error, OSError, LockTimeout) as error:
            raise ConnectionFailed(
                f"the task file {self._directory.tasks} cannot be opened ({error}); "
                "see to its disk and permissions, or choose another folder"
            ) from error
        self._peers = Peers(
            self._directory,
            self._registration,
            on_envelope=self._received,
            on_note=self._noted,
            on_gone=self._gone,
            release_tasks=lambda peer: self._queues.release_tasks(peer),
            on_absent=lambda peer: self._registration_watch.report_absent(peer),
            on_activity=lambda: self._registration_watch.check(),
        )
        self._registration_watch = RegistrationWatch(
            self._directory,
            self._registration,
            self._peers,
            self._group_commit,
            shared=self._file.in_place,
            on_restored=lambda: self._queues.recheck(),
        )
        self._rpc = Rpc(self._group_commit, self._peers)
        self._queues = Queues(self._group_commit, self._peers, self._rpc.reply)
        try:
            await self._peers.open()
        except BaseException:
            await self._peers.close()
            await self._group_commit.close()
            raise

    async def close(self) -> None:
        if self.state is LinkState.CLOSED or os.getpid() != self._process:
            return
        self.enter(LinkState.CLOSED)
        self._registration_watch.stop()
        nothing_to_release(self)
        await self._queues.close()
        await self._rpc.close()
        self._group_commit.run_unwatched(lambda file: file.remove_peer(self._peers.name), heavy=True)
        await self._group_commit.close()
        await self._peers.close()
        self._registration.remove()

    def troubles(self) -> list[str]:
        if self.state is LinkState.CLOSED:
            return []
        return self._group_commit.side.sentences() + self._peers.side.sentences()

    def _check(self) -> None:
        if os.getpid() != self._process and self._process:
            raise CommunicatorForked(
                "this communicator belongs to the parent process; connect again in the child"
            )
        if self.state is LinkState.CLOSED:
            raise CommunicatorClosed("this communicator is closed; connect again")
        self._registration_watch.check()

    @property
    def _open_queues(self) -> Queues:
        self._check()
        return self._queues

    @property
    def _open_rpc(self) -> Rpc:
        self._check()
        return self._rpc

    # Task queue

    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        await self._open_queues.send(bodies, queue, priority)

    def store_at_once(
        self, bodies: Sequence[Any], queue: str, priority: int
    ) -> asyncio.Future[Callable[[], None]] | None:
        """Store tasks; they are durable when what the future brings was called. Consumers are told before."""
        return self._open_queues.store(bodies, queue, priority)

    async def call_task(self, body: Any, *, queue: str, priority: int = 0) -> Awaitable[Any]:
        self._check()
        address, answer = self._rpc.expect()
        try:
            await self._queues.send([body], queue, priority, address)
        except BaseException:
            answer.cancel()
            raise
        return answer

    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> TaskConsumer:
        return await self._open_queues.consume(deliver, queue, prefetch)

    async def pull(self, *, queue: str) -> TaskHandle | None:
        return await self._open_queues.pull(queue)

    async def queue_size(self, *, queue: str) -> int:
        return await self._open_queues.size(queue)

    async def purge(self, *, queue: str) -> int:
        return await self._open_queues.purge(queue)

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetter]:
        return await self._open_queues.dead_letters(limit)

    async def revive(self, *, queue: str | None = None) -> int:
        return await self._open_queues.revive(queue)

    # RPC

    async def call(self, identifier: str, body: Any, *, timeout: float | None) -> Any:
        """Call and await the answer. A server that dies before it has answered is an UnroutableError too."""
        return await in_time(self._answer(identifier, body), identifier, timeout)

    async def _answer(self, identifier: str, body: Any) -> Any:
        return await (await self._open_rpc.ask(identifier, body))

    async def ask(self, identifier: str, body: Any, *, routed: bool = True) -> Awaitable[Any]:
        """Call in two stages. Routing is quick here, so it is always waited for."""
        return await self._open_rpc.ask(identifier, body)

    def ask_at_once(self, identifier: str, body: Any) -> asyncio.Future[Any] | None:
        return self._open_rpc.ask_at_once(identifier, body)

    async def cast(self, identifier: str, body: Any) -> None:
        await self._open_rpc.cast(identifier, body)

    async def serve(self, identifier: str, handler: RpcHandler) -> None:
        """Answer calls to an identifier, which is then taken for the whole directory."""
        await self._open_rpc.serve(identifier, handler)

    async def unserve(self, identifier: str) -> None:
        await self._open_rpc.unserve(identifier)

    # Broadcast

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        """Send to all who want it. A slow peer is waited for; one that reads nothing misses it."""
        self._check()
        async with self._broadcasting:  # those that come while one waits must not overtake it
            for peers, together in self._by_audience(messages):
                for envelope in in_envelopes(together):
                    await self._broadcast(peers, envelope)

    async def _broadcast(self, peers: frozenset[str], envelope: Broadcasts) -> None:
        payload = encode(envelope)
        for peer in peers:
            if peer == self._peers.name:
                asyncio.get_running_loop().call_soon(hand_over, envelope, self._subscribers)
            else:
                await self._peers.send_broadcasts(peer, payload, len(envelope.messages))
        await self._peers.drain(peers)

    def _by_audience(
        self, messages: Sequence[BroadcastMessage]
    ) -> list[tuple[frozenset[str], list[BroadcastMessage]]]:
        """The messages in runs of the same audience, in order."""
        runs: list[tuple[frozenset[str], list[BroadcastMessage]]] = []
        audiences: dict[tuple[str, str | None], frozenset[str]] = {}
        for message in messages:
            about = sender_key(message.sender), message.subject
            audience = audiences.get(about)
            if audience is None:
                audience = audiences[about] = self._audience(message)
            if runs and runs[-1][0] == audience:
                runs[-1][1].append(message)
            else:
                runs.append((audience, [message]))
        return [run for run in runs if run[0]]

    def _audience(self, message: BroadcastMessage) -> frozenset[str]:
        peers = self._peers.peer_interests.wanting(message.sender, message.subject)
        if self._subscribers.matching(message.sender, message.subject):
            peers.add(self._peers.name)
        return frozenset(peers)

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        self._check()
        identifier = self._subscribers.add(handler, wanted)
        await self._peers.interests.add(wanted)
        return identifier

    async def unsubscribe(self, identifier: str) -> None:
        self._check()
        self._peers.interests.remove(self._subscribers.remove(identifier))

    # From other communicators

    def _received(self, peer: str, envelope: Envelope) -> None:
        if isinstance(envelope, Broadcasts):
            hand_over(envelope, self._subscribers)
        elif isinstance(envelope, Replies):
            self._rpc.replied(envelope.replies)
        elif isinstance(envelope, Call):
            self._rpc.called(peer, envelope)
        elif isinstance(envelope, Calls):
            for call in envelope.calls:
                self._rpc.called(peer, call)

    def _noted(self, peer: str, note: Bell | Nobody) -> None:
        if isinstance(note, Bell):
            self._queues.rung(note)
        else:
            self._rpc.nobody(note.call)

    def _gone(self, peer: str) -> None:
        self._rpc.gone(peer)
        self._queues.recheck()
