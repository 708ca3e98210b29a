"""A consumer of a queue in memory, and the tasks that it holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from quince_messaging.contract import TaskBatchCallback, TaskConsumer
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.transports.memory.hub import Entry, Hub
from quince_messaging.wire.envelope import Reply, Task
from quince_messaging.wire.tasks import DeliveredTask, Settlement, read_task


class MemoryConsumer(TaskConsumer):
    """A consumer; its capacity is counted under the hub's lock, its tasks arrive on its own loop."""

    def __init__(
        self,
        mailbox: LoopMailbox,
        hub: Hub,
        queue: str,
        deliver: TaskBatchCallback,
        prefetch: int,
        stopped: Callable[[MemoryConsumer], None],
    ) -> None:
        self._mailbox = mailbox
        self._stopped = stopped
        self._hub = hub
        self._queue = queue
        self._deliver = deliver
        self._capacity = prefetch
        self._held: dict[MemoryTask, None] = {}  # in the order of their arrival
        self._arrived: deque[Entry] = deque()
        self._closed = False

    def reserve(self) -> bool:
        """Under the hub's lock: take capacity for one task; False if there is none."""
        if self._capacity <= 0 or self._closed:
            return False
        self._capacity -= 1
        return True

    def post(self, entry: Entry) -> None:
        """Under the hub's lock: let a task arrive on the consumer's loop."""
        first = not self._arrived
        self._arrived.append(entry)
        if first:
            self._mailbox.post(self._hand_over)

    def _hand_over(self) -> None:
        tasks: list[MemoryTask] = []
        unreadable = 0
        while self._arrived:
            task = readable(self._hub, self._queue, self._arrived.popleft(), self._settled)
            if task is None:
                unreadable += 1
            else:
                tasks.append(task)
        if unreadable:
            self._capacity += unreadable
            self._hub.dispatch(self._queue)
        if self._closed:
            for task in tasks:
                task.requeue()
            return
        self._held.update(dict.fromkeys(tasks))
        if tasks:
            self._deliver(tasks)

    def _settled(self, task: MemoryTask) -> None:
        self._held.pop(task, None)
        self._capacity += 1
        self._hub.dispatch(self._queue)

    async def pause(self) -> None:
        self._hub.detach(self._queue, self)

    async def resume(self) -> None:
        if not self._closed:
            self._hub.attach(self._queue, self)

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hub.detach(self._queue, self)
        self._hand_over()
        for task in list(self._held):
            task.requeue()
        self._stopped(self)


class MemoryTask(DeliveredTask):
    """A delivered task. Settled on its transport's loop."""

    __slots__ = ("_entry", "_hub", "_open", "_queue", "_settled")

    def __init__(
        self, task: Task, hub: Hub, queue: str, entry: Entry, settled: Callable[[MemoryTask], None]
    ) -> None:
        super().__init__(task, redelivered=entry.redelivered)
        self._hub = hub
        self._queue = queue
        self._entry = entry
        self._settled = settled
        self._open = True

    def settle(self, how: Settlement | None, reply: Reply | None = None, reason: str = "") -> None:
        if not self._open:
            return
        if how is not None:
            self._open = False
            self._settled(self)
        if how is Settlement.REQUEUED:
            self._hub.requeue(self._queue, self._entry)
        elif how is Settlement.DEAD_LETTERED:
            self._hub.dead_letter(self._queue, self._entry, reason)
        if reply is not None and self.reply_to is not None:
            self._hub.reply(self.reply_to, reply)


def readable(hub: Hub, queue: str, entry: Entry, settled: Callable[[MemoryTask], None]) -> MemoryTask | None:
    """The task in an entry; None if it cannot be read."""
    task = read_task(
        entry.data,
        queue,
        dead_letter=lambda reason: hub.dead_letter(queue, entry, reason),
        requeue=lambda: hub.requeue(queue, entry),
    )
    return None if task is None else MemoryTask(task, hub, queue, entry, settled)
