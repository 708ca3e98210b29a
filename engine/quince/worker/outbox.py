"""What a worker sends after its commits: tasks for the queue, broadcasts of terminations.

Both may be lost: the store knows it all already. They are gathered and sent in batches; while the
broker is away they are dropped, once with a warning, and the sweeps make up for them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from quince.concurrency import failure_of
from quince.messages import run_message, task_for, worker_of_run
from quince_messaging.contract import AsyncCommunicator, BroadcastMessage
from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import NewProcess, ProcessRow, Woken

_log = StructuredLogger("quince.worker")

DRAIN_SECONDS = 5.0
"""Seconds that a worker that leaves waits for the broker."""


class Outbox:
    """Gathers what is to be sent, and sends it, in the background of a loop.

    Args:
        own_queue: What is for this queue is given to `feed` instead of being sent.
    """

    def __init__(
        self, communicator: AsyncCommunicator, own_queue: str, feed: Callable[[Sequence[int]], None]
    ) -> None:
        self._communicator = communicator
        self._own_queue = own_queue
        self._feed = feed
        self._ready: dict[tuple[str, int], list[int]] = defaultdict(list)
        self._broadcasts: list[BroadcastMessage] = []
        self._calls: list[tuple[str, dict[str, Any]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._failing = False

    def enqueue(self, processes: Iterable[NewProcess | ProcessRow | Woken]) -> None:
        """Put their tasks on their queues, soon."""
        own = []
        for process in processes:
            if process.queue == self._own_queue:
                own.append(process.pid)
            else:
                self._ready[process.queue, process.priority].append(process.pid)
        if own:
            self._feed(own)
        self._begin_flush()

    def enqueue_unowned(self, woken: Iterable[Woken]) -> None:
        """Put the tasks of those on their queues, soon, that no worker owns."""
        self.enqueue(one for one in woken if one.owner is None)

    def announce(self, message: BroadcastMessage) -> None:
        """Broadcast it, soon."""
        self._broadcasts.append(message)
        self._begin_flush()

    def call(self, worker_id: str, message: dict[str, Any]) -> None:
        """Call a worker, soon, without an answer."""
        self._calls.append((worker_id, message))
        self._begin_flush()

    async def drain(self) -> None:
        """Send what was gathered so far; what is not sent in a few seconds is left to the sweeps."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._flusher is not None:
                    await asyncio.wait([self._flusher])
                    await asyncio.sleep(0)  # it is begun again if something is left

    @property
    def _anything(self) -> bool:
        return bool(self._ready or self._broadcasts or self._calls)

    def _begin_flush(self) -> None:
        if self._flusher is None and self._anything:
            self._flusher = asyncio.get_running_loop().create_task(self._flush(), name="outbox")
            self._flusher.add_done_callback(self._flushed)

    def _flushed(self, done: asyncio.Task[None]) -> None:
        self._flusher = None
        if (error := failure_of(done)) is not None:  # the sweeps make up for them
            _log.error("what was to be sent is lost: %(error)r", error=error)
        if not done.cancelled():
            self._begin_flush()

    async def _flush(self) -> None:
        while self._anything:
            ready, self._ready = self._ready, defaultdict(list)
            broadcasts, self._broadcasts = self._broadcasts, []
            calls, self._calls = self._calls, []
            sends = (self._send_broadcasts(broadcasts), self._send_tasks(ready), self._send_calls(calls))
            for outcome in await asyncio.gather(*sends, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    _log.error("some of what was to be sent is lost", error=outcome, exc_info=outcome)

    async def _send_tasks(self, ready: dict[tuple[str, int], list[int]]) -> None:
        for (queue, priority), pids in ready.items():
            try:
                if (worker_id := worker_of_run(queue)) is not None:
                    await self._communicator.rpc_cast(worker_id, run_message(pids))
                else:
                    await self._communicator.send_tasks(
                        list(map(task_for, pids)), queue=queue, priority=priority
                    )
                if self._failing:
                    _log.info("the broker takes messages again", state="connected")
                self._failing = False
            except UnroutableError:
                _log.info("the program that runs %(pids)s has gone", pids=pids, queue=queue)
            except MessagingError as error:
                self._failed(error)
            except Exception as error:  # perhaps a queue that no broker has, of a store made elsewhere
                _log.error(
                    "%(count)d tasks cannot be put on queue %(queue)r: %(error)s",
                    queue=queue,
                    count=len(pids),
                    error=error,
                )

    async def _send_calls(self, calls: list[tuple[str, dict[str, Any]]]) -> None:
        for worker_id, message in calls:
            try:
                await self._communicator.rpc_cast(worker_id, message)
            except UnroutableError:
                _log.info(
                    "worker %(worker)s has gone; the worker that finds it dead applies %(call)s",
                    worker=worker_id,
                    call=message,
                )
            except MessagingError as error:
                self._failed(error)
            except Exception as error:  # those after it are called all the same
                _log.error("worker %(worker)s cannot be called: %(error)s", worker=worker_id, error=error)

    async def _send_broadcasts(self, broadcasts: list[BroadcastMessage]) -> None:
        if broadcasts:
            try:
                await self._communicator.broadcast_many(broadcasts)
            except MessagingError as error:
                self._failed(error)

    def _failed(self, error: MessagingError) -> None:
        if not self._failing:
            _log.warning(
                "the broker takes no messages now (%(error)s); nothing is lost, the sweep will send them",
                error=error,
            )
        self._failing = True
