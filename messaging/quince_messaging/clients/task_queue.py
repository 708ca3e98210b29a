"""A named task queue of the blocking face, with tasks taken by hand."""

from __future__ import annotations

import concurrent.futures
import contextlib
import enum
import weakref
from collections.abc import Iterator
from typing import Any

from quince_messaging.clients.task_subscribers import finish_task
from quince_messaging.contract import Communicator, Subscriber, TaskHandle
from quince_messaging.errors import InvalidTaskState, QueueEmpty


class TaskState(enum.StrEnum):
    """Where a task taken by hand stands (the words are kiwiPy's)."""

    PENDING = "pending"
    PROCESSING = "processing"
    FINISHED = "finished"
    REQUEUED = "requeued"


class TaskQueue:
    """A queue with a name: send to it, subscribe to it, or take its tasks one by one.

    Made by `Communicator.task_queue`; it holds nothing that would have to be closed.
    """

    def __init__(self, communicator: Communicator, name: str, prefetch_count: int) -> None:
        self.name = name
        self._communicator = communicator
        self._prefetch = prefetch_count

    def __iter__(self) -> Iterator[IncomingTask]:
        """The tasks that are there now; those not processed go back when the iteration ends."""
        taken: list[IncomingTask] = []
        try:
            while (task := self._communicator.pull(queue=self.name)) is not None:
                taken.append(IncomingTask(task))
                yield taken[-1]
        finally:
            for incoming in taken:
                incoming.give_back_if_pending()

    def task_send(self, task: Any, no_reply: bool = False) -> concurrent.futures.Future[Any] | None:
        """Send a task to this queue; see `Communicator.task_send`."""
        return self._communicator.task_send(task, no_reply, queue=self.name)

    def add_task_subscriber(self, subscriber: Subscriber, identifier: Any = None) -> Any:
        """Have `subscriber(communicator, task)` called with each task of this queue."""
        return self._communicator.add_task_subscriber(
            subscriber, identifier, queue=self.name, prefetch=self._prefetch
        )

    def remove_task_subscriber(self, identifier: Any) -> None:
        """Stop. Raises ValueError if there is no such subscriber."""
        self._communicator.remove_task_subscriber(identifier)

    @contextlib.contextmanager
    def next_task(self, timeout: float | None = 5.0, fail: bool = True) -> Iterator[Any]:
        """The next task, which goes back to the queue at the end unless it was processed.

        Args:
            timeout: Seconds that the broker may take to answer.
            fail: With an empty queue raise QueueEmpty; otherwise give None.
        """
        task = self._communicator.pull(queue=self.name, timeout=timeout)
        if task is None:
            if fail:
                raise QueueEmpty(f"no task waits on the queue {self.name!r}")
            yield None
            return
        incoming = IncomingTask(task)
        try:
            yield incoming
        finally:
            incoming.give_back_if_pending()


class IncomingTask:
    """A task taken by hand."""

    def __init__(self, task: TaskHandle) -> None:
        self.body = task.body
        self.redelivered = task.redelivered
        self.no_reply = task.no_reply
        self.state = TaskState.PENDING
        self._task = task

    def process(self) -> concurrent.futures.Future[Any]:
        """A future to be given the outcome, which settles the task.

        If it is cancelled, or dropped without an outcome, the task goes back to the queue.
        """
        self._begin()
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        dropped = weakref.finalize(outcome, self._task.requeue)
        dropped.atexit = False

        def done(future: concurrent.futures.Future[Any]) -> None:
            dropped.detach()
            self._finish(future)

        outcome.add_done_callback(done)
        return outcome

    @contextlib.contextmanager
    def processing(self) -> Iterator[concurrent.futures.Future[Any]]:
        """A future to be given the outcome within the block; without one the task goes back.

        An exception that leaves the block is the outcome.
        """
        self._begin()
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            yield outcome
        except Exception as error:
            if not outcome.done():
                outcome.set_exception(error)
            raise
        finally:
            if outcome.done():
                self._finish(outcome)
            else:
                self.state = TaskState.REQUEUED
                self._task.requeue()

    def requeue(self) -> None:
        """Give the task back."""
        if self.state not in (TaskState.PENDING, TaskState.PROCESSING):
            raise InvalidTaskState(f"the task is {self.state}")
        self.state = TaskState.REQUEUED
        self._task.requeue()

    def give_back_if_pending(self) -> None:
        """Requeue it if nobody has begun with it."""
        if self.state is TaskState.PENDING:
            self.requeue()

    def _begin(self) -> None:
        if self.state is not TaskState.PENDING:
            raise InvalidTaskState(f"the task is {self.state}")
        self.state = TaskState.PROCESSING

    def _finish(self, outcome: concurrent.futures.Future[Any]) -> None:
        if outcome.cancelled():
            self.state = TaskState.PENDING
            self._task.requeue()
            return
        self.state = TaskState.FINISHED
        error = outcome.exception()
        if error is not None:
            self._task.fail(error)
        else:
            finish_task(self._task, outcome.result(), None)
