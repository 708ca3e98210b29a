"""Tasks and consumers of the hidden thread, in the hands of the user's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.contract import TaskBatchCallback, TaskConsumer, TaskHandle
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.structured_log import StructuredLogger

log = StructuredLogger(__name__)

LONGEST_REASON = 4_000


class ForwardedTask:
    """A task handle before another one, to which it passes on what is done with it."""

    __slots__ = ("_task", "body", "no_reply", "redelivered")

    def __init__(self, task: TaskHandle) -> None:
        self._task = task
        self.body = task.body
        self.redelivered = task.redelivered
        self.no_reply = task.no_reply

    def ack(self, result: Any = None) -> None:
        self._settle(self._task.ack, result)

    def fail(self, error: BaseException) -> None:
        self._settle(self._task.fail, error)

    def later(self) -> None:
        self._task.later()

    def requeue(self) -> None:
        self._settle(self._task.requeue)

    def dead_letter(self, reason: str) -> None:
        self._settle(self._task.dead_letter, reason)

    def _settle(self, how: Callable[..., None], *args: Any) -> None:
        how(*args)


class TaskProxy(ForwardedTask):
    """A task held on the user's side; settling it crosses to the hidden thread in bursts.

    Args:
        gone: Called on the hidden thread once it is settled.
    """

    __slots__ = ("_gone", "_settled", "_thread")

    def __init__(self, task: TaskHandle, thread: LoopThread, gone: Callable[[], None] | None = None) -> None:
        super().__init__(task)
        self._thread = thread
        self._gone = gone
        self._settled = False

    def later(self) -> None:
        if not self._settled:
            self._post(self._task.later)

    def dead_letter(self, reason: str) -> None:
        super().dead_letter(plain_reason(reason))

    def _settle(self, how: Callable[..., None], *args: Any) -> None:
        if self._settled:
            return
        self._settled = True
        self._post(how, *args)
        if self._gone is not None:
            self._post(self._gone)

    def _post(self, how: Callable[..., None], *args: Any) -> None:
        try:
            self._thread.post(how, *args)
        except CommunicatorClosed:
            log.debug(
                "a task was settled after its communicator closed; it is delivered again",
                communicator=self._thread.name,
            )


def plain_reason(reason: Any) -> str:
    """A reason as text that can be written anywhere, whatever it was: no task must stay for want of one."""
    try:
        text = str(reason)
    except Exception:
        text = f"a {type(reason).__name__} that cannot be shown"
    return text[:LONGEST_REASON].encode(errors="backslashreplace").decode()[:LONGEST_REASON]


class ConsumerProxy:
    """A consumer used from the user's side."""

    def __init__(self, consumer: TaskConsumer, run: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._consumer = consumer
        self._run = run

    async def pause(self) -> None:
        await self._run(self._consumer.pause)

    async def resume(self) -> None:
        await self._run(self._consumer.resume)

    async def close(self) -> None:
        try:
            await self._run(self._consumer.close)
        except CommunicatorClosed:
            log.debug("the communicator closed before its consumer", state="closed")


class Handover:
    """Hands tasks to a consumer's function. Where that fails, those that it has not settled go back: held by
    nobody, they would be missing in what the consumer may hold.

    They come back one by one then, and the one that fails alone is put aside.
    """

    def __init__(self, deliver: TaskBatchCallback, queue: str) -> None:
        self._deliver = deliver
        self._queue = queue
        self._has_failed = False

    def __call__(self, tasks: Sequence[TaskProxy]) -> None:
        suspects = [task for task in tasks if task.redelivered] if self._has_failed else []
        for task in suspects:
            try:
                self._deliver([task])
            except Exception as error:
                log.exception(
                    "the consumer of %(queue)s failed with a task for the second time",
                    queue=self._queue,
                    error=error,
                )
                task.dead_letter(f"its consumer failed twice, the second time with {error!r}")
        others = [task for task in tasks if task not in suspects] if suspects else tasks
        if not others:
            return
        try:
            self._deliver(others)
        except Exception:
            log.exception(
                "the consumer of %(queue)s failed with %(count)d tasks, which go back",
                queue=self._queue,
                count=len(others),
            )
            self._has_failed = True
            for task in others:
                task.requeue()
