"""A consumer of a queue in memory, and the tasks in its hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from quince_messaging.contract import TaskBatchCallback
from quince_messaging.errors import MessagingError, UnreadableMessage
from quince_messaging.loop_mailbox import LoopMailbox
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.memory.hub import Entry, Hub
from quince_messaging.wire.calls import error_reply
from quince_messaging.wire.envelope import Reply, Status, Task, decode

log = StructuredLogger(__name__)


class MemoryConsumer:
    """A consumer; its room is counted under the hub's lock, its tasks arrive on its own loop."""

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
        self._room = prefetch
        self._held: dict[MemoryTask, None] = {}  # in the order of their arrival
        self._arrived: deque[Entry] = deque()
        self._closed = False

    def reserve(self) -> bool:
        """Under the hub's lock: take one place, if there is one."""
        if self._room <= 0 or self._closed:
            return False
        self._room -= 1
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
            self._room += unreadable
            self._hub.pump(self._queue)
        if self._closed:
            for task in tasks:
                task.requeue()
            return
        self._held.update(dict.fromkeys(tasks))
        if tasks:
            self._deliver(tasks)

    def _settled(self, task: MemoryTask) -> None:
        self._held.pop(task, None)
        self._room += 1
        self._hub.pump(self._queue)

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


class MemoryTask:
    """A delivered task. Settled on its transport's loop."""

    __slots__ = ("_address", "_entry", "_gone", "_hub", "_open", "_queue", "body")

    def __init__(self, hub: Hub, queue: str, entry: Entry, gone: Callable[[MemoryTask], None]) -> None:
        message = decode(entry.data)
        if not isinstance(message, Task):
            raise UnreadableMessage(f"a {type(message).__name__} where a task should be")
        self.body = message.body
        self._address = message.reply_to
        self._hub = hub
        self._queue = queue
        self._entry = entry
        self._gone = gone
        self._open = True

    @property
    def redelivered(self) -> bool:
        return self._entry.redelivered

    @property
    def no_reply(self) -> bool:
        return self._address is None

    def ack(self, result: Any = None) -> None:
        if self._close():
            self._reply(Reply(0, Status.RESULT, result))

    def fail(self, error: BaseException) -> None:
        if self._close():
            self._reply(error_reply(0, error))

    def later(self) -> None:
        if self._open:
            self._reply(Reply(0, Status.PENDING))

    def requeue(self) -> None:
        if self._close():
            self._hub.put_back(self._queue, self._entry)

    def dead_letter(self, reason: str) -> None:
        if self._close():
            self._hub.bury(self._queue, self._entry, reason)
            self._reply(error_reply(0, MessagingError(f"dead-lettered: {reason}")))

    def _reply(self, reply: Reply) -> None:
        if self._address is not None:
            self._hub.reply(self._address, reply)

    def _close(self) -> bool:
        if not self._open:
            return False
        self._open = False
        self._gone(self)
        return True


def readable(hub: Hub, queue: str, entry: Entry, gone: Callable[[MemoryTask], None]) -> MemoryTask | None:
    """The task in an entry; one that cannot be read is put aside."""
    try:
        return MemoryTask(hub, queue, entry, gone)
    except UnreadableMessage as error:
        hub.bury(queue, entry, str(error))
        return None
    except Exception:  # no memory, say: not the message's fault
        log.exception("a task of %(queue)s could not be taken, and goes back", queue=queue)
        hub.put_back(queue, entry)
        return None
