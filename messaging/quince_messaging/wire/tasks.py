"""A delivered task, the same for every transport: read once, settled once, its sender told."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from quince_messaging.errors import MessagingError, UnreadableMessage
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.wire.calls import error_reply
from quince_messaging.wire.envelope import Address, Reply, Status, Task, decode

log = StructuredLogger(__name__)


class Settlement(enum.Enum):
    """What becomes of the message of a task."""

    DONE = "done"
    REQUEUED = "requeued"
    DEAD_LETTERED = "dead-lettered"


class DeliveredTask(ABC):
    """A `TaskHandle` of a transport, which says in `settle` how it carries a settlement out."""

    __slots__ = ("body", "redelivered", "reply_to")

    def __init__(self, task: Task, *, redelivered: bool) -> None:
        self.body: Any = task.body
        self.reply_to: Address | None = task.reply_to
        self.redelivered = redelivered

    @property
    def no_reply(self) -> bool:
        return self.reply_to is None

    def ack(self, result: Any = None) -> None:
        self.settle(Settlement.DONE, self._reply(Status.RESULT, result))

    def fail(self, error: BaseException) -> None:
        self.settle(Settlement.DONE, self._error(error))

    def later(self) -> None:
        self.settle(None, self._reply(Status.PENDING))

    def requeue(self) -> None:
        self.settle(Settlement.REQUEUED)

    def dead_letter(self, reason: str) -> None:
        self.settle(Settlement.DEAD_LETTERED, self._error(MessagingError(f"dead-lettered: {reason}")), reason)

    @abstractmethod
    def settle(self, how: Settlement | None, reply: Reply | None = None, reason: str = "") -> None:
        """Carry a settlement out, and send the reply. After the first settlement: nothing.

        Args:
            how: None leaves the task open.
            reply: For `reply_to`; None if nobody waits.
            reason: Of a dead letter.
        """

    def _reply(self, status: Status, body: Any = None) -> Reply | None:
        return None if self.reply_to is None else Reply(self.reply_to.call, status, body)

    def _error(self, error: BaseException) -> Reply | None:
        return None if self.reply_to is None else error_reply(self.reply_to.call, error)


def read_task(
    data: bytes, queue: str, *, dead_letter: Callable[[str], None], requeue: Callable[[], None]
) -> Task | None:
    """The task in a message that was taken off a queue; None if it cannot be delivered.

    Args:
        dead_letter: Called with the reason if nobody could read it.
        requeue: Called if it could not be read just now.
    """
    try:
        message = decode(data)
        if isinstance(message, Task):
            return message
        reason = f"a {type(message).__name__} where a task belongs"
    except UnreadableMessage as error:
        reason = str(error)
    except Exception:  # no memory, say: not the message's fault
        log.exception("%(queue)s: a message could not be taken, and goes back", queue=queue)
        requeue()
        return None
    log.warning(
        "%(queue)s: a message cannot be read and is dead-lettered: %(reason)s", queue=queue, reason=reason
    )
    dead_letter(reason)
    return None
