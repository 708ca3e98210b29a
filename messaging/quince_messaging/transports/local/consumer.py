"""A consumer of one queue: claims as many tasks as it has room for, and sleeps when there are none.

It is *hungry* while it has room and its last claim found too little; that is written in the very
statement of the claim, and whoever has stored tasks reads it afterwards. So either the claim sees the
tasks or the sender sees the hunger and rings: no wake-up can be lost, and nobody ever polls.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quince_messaging.contract import TaskBatchCallback
from quince_messaging.errors import DeliveryFailed
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.deliveries import Holder, LocalTask, Settled
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.records import Claim, Claimed, ClaimedTask, GivenTask, Hungry
from quince_messaging.transports.local.task_db import TaskDb
from quince_messaging.wire.envelope import Reply, Task
from quince_messaging.wire.tasks import read_task

_log = StructuredLogger(__name__)

BETWEEN_FAILURES = 1.0  # seconds
UNHURRIED = 0.003  # seconds that a settlement may wait for company when nothing depends on it


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a consumer needs of the transport.

    Attributes:
        ring: Wake so many tasks' worth of these hungry consumers of a queue.
        reply: Send answers to the communicators that wait for them.
        left: This consumer is no more.
    """

    group_commit: GroupCommit
    ring: Callable[[str, Sequence[Hungry], int], None]
    reply: Callable[[Sequence[tuple[str, Reply]]], None]
    left: Callable[[int], None]


class LocalConsumer:
    """See `TaskConsumer`."""

    def __init__(
        self, around: Surroundings, number: int, queue: str, prefetch: int, deliver: TaskBatchCallback
    ) -> None:
        self.number = number
        self.queue = queue
        self._around = around
        self._prefetch = prefetch
        self._deliver = deliver
        self._holder = Holder(self._settled)
        self._held = 0
        self._rung = 0
        self._hungry = False
        self._claiming = False
        self._paused = False
        self._closed = False
        self._unwritten: list[int] = []
        """Tasks that are done, and whose deletion waits for the next claim, or for a moment."""
        self._turn = 0
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    async def pause(self) -> None:
        """See `TaskConsumer.pause`."""
        if self._paused or self._closed:
            return
        self._paused = True
        self._hungry = False
        others = await self._around.group_commit.run(self._stop_hunger)
        self._around.ring(self.queue, others, 1)

    def _stop_hunger(self, file: TaskDb) -> Sequence[Hungry]:
        file.set_hungry(self.number, False)
        return file.hungry(self.queue) if file.has_ready(self.queue) else ()

    async def resume(self) -> None:
        """See `TaskConsumer.resume`."""
        self._paused = False
        self.claim()

    async def close(self) -> None:
        """See `TaskConsumer.close`."""
        if self._closed:
            return
        self._closed = True
        settled = self._holder.close()
        self._around.reply(settled.replies)
        settled.deleted += self._unwritten
        if self._timer is not None:
            self._timer.cancel()
        try:
            others = await self._around.group_commit.run(lambda file: self._leave(file, settled), heavy=True)
        except DeliveryFailed as error:  # it has left all the same, as one that dies
            _log.warning(
                "tasks of queue %(queue)s go back when others see that we are gone: %(error)s",
                queue=self.queue,
                error=error,
            )
            others = ()
        self._around.left(self.number)
        self._around.ring(self.queue, others, self._held)

    def _leave(self, file: TaskDb, settled: Settled) -> Sequence[Hungry]:
        file.delete(self.number, settled.deleted)
        _put_away(file, self.number, settled)
        file.remove_consumer(self.number)
        return file.hungry(self.queue)

    # Claiming

    def bell(self, count: int) -> bool:
        """There are tasks for it. False if it does not take any now: ring somebody else."""
        if self._paused or self._closed:
            return False
        self._rung += count
        self.claim()
        return True

    def look_again(self) -> None:
        """Claim even if nobody rang: somebody died who might have wanted to."""
        self._rung += 1
        self.claim()

    def claim(self) -> None:
        """Claim what there is room for, and settle what waits for that in the same transaction."""
        room = self._prefetch - self._held
        limit = min(room, self._rung) if self._hungry else room
        if limit <= 0 or self._claiming or self._paused or self._closed:
            return
        self._claiming = True
        self._rung = 0
        self._turn += 1
        settled, self._unwritten = self._unwritten, []
        claim = Claim(self.number, self.queue, settled, limit, room, self._prefetch, self._turn, self._told)
        then = functools.partial(self._claimed, claim)
        self._around.group_commit.run_then(lambda file: file.claim(claim), then)

    def _claimed(self, claim: Claim, claimed: Claimed, error: Exception | None) -> None:
        self._claiming = False
        if self._closed:
            return
        if error is not None:
            _log.error(
                "consumer of %(queue)s: a claim failed and will be tried again: %(error)s",
                queue=self.queue,
                error=error,
            )
            self._unwritten += claim.settled
            asyncio.get_running_loop().call_later(BETWEEN_FAILURES, self.look_again)
            return
        self._told = claim.turn
        given = len(claimed.tasks) + len(claimed.unread)
        self._hungry = given < claim.room and not self._paused
        self._held += given
        others = [hungry for hungry in claimed.pass_on if hungry.consumer != self.number]
        if others and not self._hungry:
            self._around.ring(self.queue, others, 1)
        self._arrived(claimed.tasks, claimed.unread)

    def _arrived(self, tasks: Sequence[ClaimedTask], unread: Sequence[GivenTask]) -> None:
        """Deliver tasks, then read on: the bodies of all that it was given may be too large together."""
        self._claiming = bool(unread)
        if handles := self._handles(tasks):
            self._deliver(handles)
        if unread:
            self._read(unread)
        else:
            self.claim()

    def _read(self, unread: Sequence[GivenTask]) -> None:
        if self._closed:
            return
        if self._paused:
            self._give_back(unread)
            return

        def came(read: tuple[Sequence[ClaimedTask], Sequence[GivenTask]], error: Exception | None) -> None:
            if self._closed:
                return
            if error is None:
                self._arrived(*read)
            else:
                _log.error(
                    "consumer of %(queue)s: tasks will be read again: %(error)s",
                    queue=self.queue,
                    error=error,
                )
                asyncio.get_running_loop().call_later(BETWEEN_FAILURES, self._read, unread)

        self._around.group_commit.run_then(lambda file: file.read(unread), came)

    def _give_back(self, unread: Sequence[GivenTask]) -> None:
        """It was paused before it had read them: somebody else may."""
        self._held -= len(unread)
        self._claiming = False

        def work(file: TaskDb) -> Sequence[Hungry]:
            file.give_back(self.number, [id_ for _, id_, _, _ in unread])
            return file.hungry(self.queue)

        def offer(hungry: Sequence[Hungry], error: Exception | None) -> None:
            if error is not None:
                _log.error(
                    "consumer of %(queue)s: tasks could not be given back: %(error)s",
                    queue=self.queue,
                    error=error,
                )
            else:
                self._around.ring(self.queue, hungry, len(unread))

        self._around.group_commit.run_then(work, offer, heavy=True)

    def _handles(self, tasks: Sequence[ClaimedTask]) -> list[LocalTask]:
        handles = [self._handle(claimed) for claimed in tasks]
        return [handle for handle in handles if handle is not None]

    def _handle(self, claimed: ClaimedTask) -> LocalTask | None:
        def unread() -> LocalTask:
            return LocalTask(self._holder, claimed.id, Task(None), redelivered=claimed.redelivered)

        task = read_task(
            claimed.body,
            self.queue,
            dead_letter=lambda reason: unread().dead_letter(reason),
            requeue=lambda: unread().requeue(),
        )
        if task is None:
            return None
        return LocalTask(self._holder, claimed.id, task, redelivered=claimed.redelivered)

    async def pull(self, queue: str) -> LocalTask | None:
        """One task of any queue, taken by hand; settled like the others."""
        handles: list[LocalTask] = []
        found = True
        while found and not handles:  # unreadable ones are dead-lettered on the way
            self._turn += 1
            claim = Claim(self.number, queue, (), 1, 2, 0, self._turn, self._turn - 1)
            claimed = await self._around.group_commit.run(functools.partial(TaskDb.claim, claim=claim))
            found = bool(claimed.tasks)
            handles = self._handles(claimed.tasks)
        return handles[0] if handles else None

    # Settling (on the loop)

    def _settled(self) -> None:
        if self._closed:
            return
        settled = self._holder.collect()
        self._held -= len(settled)
        self._around.reply(settled.replies)
        self._unwritten += settled.deleted
        if settled.requeued or settled.dead:
            self._put_away(settled)
        if not self._hungry:
            self.claim()
        if self._unwritten and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(UNHURRIED, self._write)

    def _put_away(self, settled: Settled) -> None:
        """Requeue and dead-letter; offer what was refused to others before this consumer looks again."""

        def work(file: TaskDb) -> Sequence[Hungry]:
            _put_away(file, self.number, settled)
            return file.hungry(self.queue) if settled.requeued else ()

        def offer(hungry: Sequence[Hungry], error: Exception | None) -> None:
            if error is not None:
                _log.error(
                    "consumer of %(queue)s: tasks could not be handed back: %(error)s",
                    queue=self.queue,
                    error=error,
                )
                return
            others = [one for one in hungry if one.consumer != self.number]
            self._around.ring(self.queue, others or hungry, len(settled.requeued))

        self._around.group_commit.run_then(work, offer, heavy=True)

    def _write(self) -> None:
        """No claim took them along: settle by themselves."""
        self._timer = None
        settled, self._unwritten = self._unwritten, []
        if not settled or self._closed:
            return

        def written(_: None, error: Exception | None) -> None:
            if error is not None:
                _log.error(
                    "consumer of %(queue)s: done tasks stay, and will be tried again: %(error)s",
                    queue=self.queue,
                    error=error,
                )
                self._unwritten += settled

        self._around.group_commit.run_then(lambda file: file.delete(self.number, settled), written)


def _put_away(file: TaskDb, consumer: int, settled: Settled) -> None:
    if settled.requeued:
        file.requeue(consumer, settled.requeued)
    for id_, reason in settled.dead:
        file.dead_letter(consumer, id_, reason)
