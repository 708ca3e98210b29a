"""The task queue: storing tasks, waking consumers for them, and releasing those of dead communicators."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quince_messaging.contract import DeadLetter, TaskBatchCallback
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.consumer import ConsumerContext, LocalConsumer
from quince_messaging.transports.local.deliveries import LocalTask
from quince_messaging.transports.local.frames import Bell
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.peers import Peers
from quince_messaging.transports.local.records import NewTask, WaitingConsumer
from quince_messaging.transports.local.task_db import TaskDb
from quince_messaging.wire.envelope import Address, Reply, Task, encode

_log = StructuredLogger(__name__)

ALL = 1_000_000  # more tasks than there are consumers
RECHECK_SECONDS = (0.1, 0.2, 0.5, 1.0, 5.0)  # between the checks of a sender that its tasks were fetched


MOST_LIGHT = 100  # tasks, and bytes, that are stored on the loop
MOST_LIGHT_BYTES = 256 * 1024


@dataclass(slots=True)
class _Outgoing:
    """What is sent in one turn of the loop, and the futures of all of it that somebody waits for.

    Attributes:
        stored: Ends when it is committed, with what makes it durable.
        durable: Ends when it is on the disk.
    """

    rows: list[NewTask]
    stored: asyncio.Future[Callable[[], None]] | None = None
    durable: asyncio.Future[None] | None = None
    mark: int = 0

    def committed(self, mark: int) -> None:
        """On whatever thread commits: where the log stands by then."""
        self.mark = mark


class Queues:
    """The task queues of a directory, as one communicator sees them."""

    def __init__(
        self, group_commit: GroupCommit, peers: Peers, reply: Callable[[Sequence[tuple[str, Reply]]], None]
    ) -> None:
        self._group_commit = group_commit
        self._peers = peers
        self._context = ConsumerContext(group_commit, self.ring, reply, self._left)
        self._consumers: dict[int, LocalConsumer] = {}
        self._turn = 0
        self._watched: dict[str, asyncio.TimerHandle] = {}
        self._puller: LocalConsumer | None = None
        self._outgoing: _Outgoing | None = None
        self._closed = False

    async def close(self) -> None:
        """Close the consumers; what they hold returns to the queues."""
        self._closed = True
        for timer in self._watched.values():
            timer.cancel()
        self._watched.clear()
        for consumer in [*self._consumers.values(), *([self._puller] if self._puller else [])]:
            await consumer.close()

    def _left(self, number: int) -> None:
        self._consumers.pop(number, None)

    async def send(
        self, bodies: Sequence[Any], queue: str, priority: int, reply_to: Address | None = None
    ) -> None:
        """Store tasks; durable on return."""
        if not bodies:
            return
        outgoing = self._join(bodies, queue, priority, reply_to)
        if outgoing.durable is None:
            outgoing.durable = asyncio.get_running_loop().create_future()
        await asyncio.shield(outgoing.durable)

    def store(
        self, bodies: Sequence[Any], queue: str, priority: int
    ) -> asyncio.Future[Callable[[], None]] | None:
        """Store tasks; durable when what the future brings was called, on a thread that may wait."""
        if not bodies:
            return None
        outgoing = self._join(bodies, queue, priority, None)
        if outgoing.stored is None:
            outgoing.stored = asyncio.get_running_loop().create_future()
        return outgoing.stored

    def _join(self, bodies: Sequence[Any], queue: str, priority: int, reply_to: Address | None) -> _Outgoing:
        """Have tasks sent with the others of this turn of the loop."""
        rows = [(queue, priority, encode(Task(body, reply_to))) for body in bodies]
        if self._outgoing is None:
            self._outgoing = _Outgoing([])
            asyncio.get_running_loop().call_soon(self._send_out)
        self._outgoing.rows += rows
        return self._outgoing

    def _send_out(self) -> None:
        """Store all that was sent in this turn of the loop."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None:
            return
        rows = outgoing.rows
        counts = Counter(queue for queue, _, _ in rows)

        inserted = False

        def work(file: TaskDb) -> dict[str, list[WaitingConsumer]]:
            nonlocal inserted
            if not inserted:  # it may be run again when the file is busy
                file.insert(rows)
                inserted = True
            return {queue: file.waiting_consumers(queue) for queue in counts}

        def stored(waiting: dict[str, list[WaitingConsumer]], error: Exception | None) -> None:
            self._tell_stored(outgoing, error)
            if error is None:
                for queue, count in counts.items():
                    self.ring(queue, waiting[queue], count)

        heavy = len(rows) > MOST_LIGHT or sum(len(body) for _, _, body in rows) > MOST_LIGHT_BYTES
        committed = None if outgoing.stored is None else outgoing.committed
        try:
            self._group_commit.run_then(
                work, stored, durable=outgoing.durable, committed=committed, heavy=heavy, now=True
            )
        except CommunicatorClosed as error:
            self._tell_stored(outgoing, error)
            if outgoing.durable is not None:
                outgoing.durable.set_exception(error)

    def _tell_stored(self, outgoing: _Outgoing, error: Exception | None) -> None:
        if outgoing.stored is None:
            return
        if error is not None:
            outgoing.stored.set_exception(error)
        else:
            outgoing.stored.set_result(functools.partial(self._group_commit.until_durable, outgoing.mark))

    async def dead_letters(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest dead letters of all queues."""
        return await self._group_commit.run(lambda file: file.dead_letters(limit), heavy=True)

    async def revive(self, queue: str | None) -> int:
        """Return dead letters to their queues. Returns how many they were."""

        def work(file: TaskDb) -> list[tuple[str, int, list[WaitingConsumer]]]:
            return [(name, count, file.waiting_consumers(name)) for name, count in file.revive(queue).items()]

        revived = await self._group_commit.run(work, heavy=True)
        for name, count, waiting in revived:
            self.ring(name, waiting, count)
        return sum(count for _, count, _ in revived)

    async def consume(self, deliver: TaskBatchCallback, queue: str, prefetch: int) -> LocalConsumer:
        """A new consumer, which begins to claim at once."""
        number = await self._group_commit.run(lambda file: file.add_consumer(self._peers.name, queue))
        consumer = LocalConsumer(self._context, number, queue, prefetch, deliver)
        self._consumers[number] = consumer
        consumer.claim()
        return consumer

    async def pull(self, queue: str) -> LocalTask | None:
        """One task now, or None."""
        if self._puller is None:
            number = await self._group_commit.run(lambda file: file.add_consumer(self._peers.name, ""))
            self._puller = LocalConsumer(self._context, number, "", 0, lambda _: None)
        return await self._puller.pull(queue)

    async def size(self, queue: str) -> int:
        """How many tasks wait."""
        return await self._group_commit.run(lambda file: file.size(queue), heavy=True)

    async def purge(self, queue: str) -> int:
        """Drop the tasks that wait; returns how many."""
        return await self._group_commit.run(lambda file: file.purge(queue), heavy=True)

    # Bells

    def ring(self, queue: str, waiting: Sequence[WaitingConsumer], count: int, nth: int = 0) -> None:
        """Wake as many waiting consumers as there is work for, in turn."""
        if not waiting or self._closed:
            return
        rung = min(len(waiting), max(count, 1))
        each = -(-count // rung)
        for _ in range(rung):
            self._turn += 1
            self._ring_one(queue, waiting[self._turn % len(waiting)], each)
        self._watch(queue, nth)

    def _ring_one(self, queue: str, whom: WaitingConsumer, count: int) -> None:
        if whom.peer == self._peers.name:
            self.rung(Bell(queue, whom.consumer, count))
        elif not self._peers.send_note(whom.peer, Bell(queue, whom.consumer, count)):
            self._peers.reconnect(whom.peer)

    def rung(self, bell: Bell) -> None:
        """A bell for one of the consumers here has come."""
        consumer = self._consumers.get(bell.consumer)
        if consumer is None or not consumer.bell(bell.count):
            self._offer(bell.queue, bell.count)

    def recheck(self) -> None:
        """A communicator has gone: it may have had tasks, or been about to ring."""
        for consumer in self._consumers.values():
            consumer.recheck()

    async def release_tasks(self, peer: str) -> None:
        """Return the tasks of a dead communicator to their queues, and ring for them."""
        for queue in await self._group_commit.run(lambda file: file.remove_peer(peer), heavy=True):
            self._offer(queue, ALL)

    def _watch(self, queue: str, nth: int = 0) -> None:
        """Check a moment later whether the tasks were fetched, and if not, ring all waiting consumers.

        One that was rung may be frozen, or have died of late. After some checks it is left to the next
        event: a communicator that goes on, or dies, makes one.
        """
        if queue not in self._watched and nth < len(RECHECK_SECONDS) and not self._closed:
            loop = asyncio.get_running_loop()
            self._watched[queue] = loop.call_later(RECHECK_SECONDS[nth], self._recheck, queue, nth)

    def _recheck(self, queue: str, nth: int) -> None:
        del self._watched[queue]
        self._offer(queue, ALL, nth + 1)

    def _offer(self, queue: str, count: int, nth: int = 0) -> None:
        """Ring waiting consumers if there are tasks for them."""

        def offered(waiting: Sequence[WaitingConsumer], error: Exception | None) -> None:
            if error is not None:
                _log.warning("queue %(queue)s could not be looked at: %(error)s", queue=queue, error=error)
            else:
                self.ring(queue, waiting, count, nth)

        if not self._closed:
            self._group_commit.run_then(lambda file: _waiting_for_tasks(file, queue), offered)


def _waiting_for_tasks(file: TaskDb, queue: str) -> Sequence[WaitingConsumer]:
    return file.waiting_consumers(queue) if file.has_ready(queue) else ()
