"""A consumer of one queue: claims as many tasks as it has capacity for, and sleeps when there are none.

It *waits* while it has capacity and its last claim found too little; that is written by the very statement of
the claim, and a sender that has stored tasks reads it afterwards. So either the claim sees the tasks, or the
sender sees that the consumer waits and rings: no wake-up can be lost, and nothing ever polls.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quince_messaging.contract import TaskBatchCallback, TaskConsumer
from quince_messaging.errors import DeliveryFailed
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.deliveries import LocalTask, SettledTasks, Settlements
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.records import Claim, Claimed, ClaimedTask, GivenTask, WaitingConsumer
from quince_messaging.transports.local.task_db import TaskDb
from quince_messaging.wire.envelope import Reply, Task
from quince_messaging.wire.tasks import read_task

_log = StructuredLogger(__name__)

BETWEEN_FAILURES = 1.0  # seconds
SETTLE_SECONDS = 0.003  # how long a settlement may wait for others when nothing depends on it


@dataclass(frozen=True, slots=True)
class ConsumerContext:
    """What a consumer needs of the transport.

    Attributes:
        ring: Wake waiting consumers of a queue, as many as there is work for.
        reply: Send answers to the communicators that wait for them.
        left: Called when this consumer has closed.
    """

    group_commit: GroupCommit
    ring: Callable[[str, Sequence[WaitingConsumer], int], None]
    reply: Callable[[Sequence[tuple[str, Reply]]], None]
    left: Callable[[int], None]


class LocalConsumer(TaskConsumer):
    """A consumer of one queue of the task file."""

    def __init__(
        self, context: ConsumerContext, number: int, queue: str, prefetch: int, deliver: TaskBatchCallback
    ) -> None:
        self.number = number
        self.queue = queue
        self._context = context
        self._prefetch = prefetch
        self._deliver = deliver
        self._settlements = Settlements(self._settled)
        self._held = 0
        self._rung = 0
        self._waiting = False
        self._claiming = False
        self._paused = False
        self._closed = False
        self._unwritten: list[int] = []
        """Tasks that are done, and whose deletion waits for the next claim, or for a moment."""
        self._turn = 0
        self._answered = 0
        self._timer: asyncio.TimerHandle | None = None

    async def pause(self) -> None:
        if self._paused or self._closed:
            return
        self._paused = True
        self._waiting = False
        others = await self._context.group_commit.run(self._stop_waiting)
        self._context.ring(self.queue, others, 1)

    def _stop_waiting(self, file: TaskDb) -> Sequence[WaitingConsumer]:
        file.set_waiting(self.number, False)
        return file.waiting_consumers(self.queue) if file.has_ready(self.queue) else ()

    async def resume(self) -> None:
        self._paused = False
        self.claim()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        settled = self._settlements.close()
        self._context.reply(settled.replies)
        settled.deleted += self._unwritten
        if self._timer is not None:
            self._timer.cancel()
        try:
            others = await self._context.group_commit.run(lambda file: self._leave(file, settled), heavy=True)
        except DeliveryFailed as error:  # it has left all the same, as one that dies
            _log.warning(
                "tasks of queue %(queue)s go back when others see that we are gone: %(error)s",
                queue=self.queue,
                error=error,
            )
            others = ()
        self._context.left(self.number)
        self._context.ring(self.queue, others, self._held)

    def _leave(self, file: TaskDb, settled: SettledTasks) -> Sequence[WaitingConsumer]:
        file.delete(self.number, settled.deleted)
        _write_settled(file, self.number, settled)
        file.remove_consumer(self.number)
        return file.waiting_consumers(self.queue)

    # Claiming

    def bell(self, count: int) -> bool:
        """There are tasks for it. False if it takes none now, so another consumer is to be rung."""
        if self._paused or self._closed:
            return False
        self._rung += count
        self.claim()
        return True

    def recheck(self) -> None:
        """Claim though no bell came: a communicator has died that may have been about to ring."""
        self._rung += 1
        self.claim()

    def claim(self) -> None:
        """Claim as many tasks as there is capacity for, and delete those that are done in the same
        transaction."""
        capacity = self._prefetch - self._held
        limit = min(capacity, self._rung) if self._waiting else capacity
        if limit <= 0 or self._claiming or self._paused or self._closed:
            return
        self._claiming = True
        self._rung = 0
        self._turn += 1
        settled, self._unwritten = self._unwritten, []
        claim = Claim(
            self.number, self.queue, settled, limit, capacity, self._prefetch, self._turn, self._answered
        )
        then = functools.partial(self._claimed, claim)
        self._context.group_commit.run_then(lambda file: file.claim(claim), then)

    def _claimed(self, claim: Claim, claimed: Claimed, error: Exception | None) -> None:
        self._claiming = False
        if self._closed:
            return
        if error is not None:
            self._failed("a claim failed and will be tried again", error)
            self._unwritten += claim.settled
            asyncio.get_running_loop().call_later(BETWEEN_FAILURES, self.recheck)
            return
        self._answered = claim.turn
        given = len(claimed.tasks) + len(claimed.unread)
        self._waiting = given < claim.capacity and not self._paused
        self._held += given
        others = [waiting for waiting in claimed.pass_on if waiting.consumer != self.number]
        if others and not self._waiting:
            self._context.ring(self.queue, others, 1)
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
            self._return_unseen(unread)
            return

        def came(read: tuple[Sequence[ClaimedTask], Sequence[GivenTask]], error: Exception | None) -> None:
            if self._closed:
                return
            if error is None:
                self._arrived(*read)
            else:
                self._failed("tasks will be read again", error)
                asyncio.get_running_loop().call_later(BETWEEN_FAILURES, self._read, unread)

        self._context.group_commit.run_then(lambda file: file.read(unread), came)

    def _return_unseen(self, unread: Sequence[GivenTask]) -> None:
        """It was paused before it had read them: another consumer may take them."""
        self._held -= len(unread)
        self._claiming = False

        def work(file: TaskDb) -> Sequence[WaitingConsumer]:
            file.return_unseen(self.number, [id_ for _, id_, _, _ in unread])
            return file.waiting_consumers(self.queue)

        def offer(waiting: Sequence[WaitingConsumer], error: Exception | None) -> None:
            if error is not None:
                self._failed("tasks could not be returned", error)
            else:
                self._context.ring(self.queue, waiting, len(unread))

        self._context.group_commit.run_then(work, offer, heavy=True)

    def _handles(self, tasks: Sequence[ClaimedTask]) -> list[LocalTask]:
        handles = [self._handle(claimed) for claimed in tasks]
        return [handle for handle in handles if handle is not None]

    def _handle(self, claimed: ClaimedTask) -> LocalTask | None:
        def handle(task: Task) -> LocalTask:
            return LocalTask(self._settlements, claimed.id, task, redelivered=claimed.redelivered)

        task = read_task(
            claimed.body,
            self.queue,
            dead_letter=lambda reason: handle(Task(None)).dead_letter(reason),
            requeue=lambda: handle(Task(None)).requeue(),
        )
        return None if task is None else handle(task)

    async def pull(self, queue: str) -> LocalTask | None:
        """One task of any queue, taken by hand; settled like the others."""
        handles: list[LocalTask] = []
        found = True
        while found and not handles:  # unreadable ones are dead-lettered on the way
            self._turn += 1
            claim = Claim(self.number, queue, (), 1, 2, 0, self._turn, self._turn - 1)
            claimed = await self._context.group_commit.run(functools.partial(TaskDb.claim, claim=claim))
            found = bool(claimed.tasks)
            handles = self._handles(claimed.tasks)
        return handles[0] if handles else None

    # Settling (on the loop)

    def _settled(self) -> None:
        if self._closed:
            return
        settled = self._settlements.collect()
        self._held -= len(settled)
        self._context.reply(settled.replies)
        self._unwritten += settled.deleted
        if settled.requeued or settled.dead:
            self._write_settled(settled)
        if not self._waiting:
            self.claim()
        if self._unwritten and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._write)

    def _write_settled(self, settled: SettledTasks) -> None:
        """Requeue and dead-letter; offer what was requeued to others before this consumer claims again."""

        def work(file: TaskDb) -> Sequence[WaitingConsumer]:
            _write_settled(file, self.number, settled)
            return file.waiting_consumers(self.queue) if settled.requeued else ()

        def offer(waiting: Sequence[WaitingConsumer], error: Exception | None) -> None:
            if error is not None:
                self._failed("tasks could not be requeued", error)
                return
            others = [one for one in waiting if one.consumer != self.number]
            self._context.ring(self.queue, others or waiting, len(settled.requeued))

        self._context.group_commit.run_then(work, offer, heavy=True)

    def _write(self) -> None:
        """No claim took them along: settle by themselves."""
        self._timer = None
        settled, self._unwritten = self._unwritten, []
        if not settled or self._closed:
            return

        def written(_: None, error: Exception | None) -> None:
            if error is not None:
                self._failed("done tasks stay, and will be tried again", error)
                self._unwritten += settled

        self._context.group_commit.run_then(lambda file: file.delete(self.number, settled), written)

    def _failed(self, what: str, error: Exception) -> None:
        _log.error(f"consumer of %(queue)s: {what}: %(error)s", queue=self.queue, error=error)


def _write_settled(file: TaskDb, consumer: int, settled: SettledTasks) -> None:
    if settled.requeued:
        file.requeue(consumer, settled.requeued)
    for id_, reason in settled.dead:
        file.dead_letter(consumer, id_, reason)
