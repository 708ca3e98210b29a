"""Tasks that have been delivered and wait for a slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from quince.worker.slots import Slots
from quince_messaging.contract import TaskConsumer, TaskHandle
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.worker")

Entry = tuple[int, TaskHandle | None]

AGAIN_SECONDS = 1.0
"""Seconds until pausing or resuming a consumer is tried again."""
HOLD_SECONDS = 5.0
"""A task that finds no slot for so long goes back to the queue, for other workers."""


class TaskBuffer:
    """Gives tasks to `claim`, as many at a time as there are free slots.

    While no slot is free for long, it hands its tasks back and asks for no more, so that none is
    kept from other workers, nor until the broker takes it away.
    """

    def __init__(self, slots: Slots, claim: Callable[[Sequence[Entry]], None]) -> None:
        self._slots = slots
        self._claim = claim
        self._waiting: deque[Entry] = deque()
        self._consumers: list[TaskConsumer] = []
        self._full: asyncio.TimerHandle | None = None
        self._paused = False
        self._switched = False
        self._closed = False
        self._switching: asyncio.Task[None] | None = None
        slots.on_free = self.pump

    def add_consumer(self, consumer: TaskConsumer) -> None:
        """A consumer to pause and resume, and to close in the end."""
        self._consumers.append(consumer)

    def put(self, entries: Sequence[Entry]) -> None:
        """Tasks have come."""
        if self._closed:
            for _, task in entries:
                if task is not None:
                    task.requeue()
            return
        self._waiting.extend(entries)
        self.pump()

    def put_pids(self, pids: Sequence[int]) -> None:
        """Pids have come, without tasks to acknowledge."""
        self.put([(pid, None) for pid in pids])

    def put_first(self, pids: Sequence[int]) -> None:
        """The same, before all others."""
        if not self._closed:
            self._waiting.extendleft((pid, None) for pid in reversed(pids))
            self.pump()

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Others came first; these come next."""
        if self._closed:
            self.put(entries)
        elif entries:
            self._waiting.extendleft(reversed(entries))
            self.pump()

    @property
    def empty(self) -> bool:
        """No task is at hand."""
        return not self._waiting

    def pump(self) -> None:
        """Give on what there are slots for. Called whenever tasks come or slots become free."""
        if self._waiting and not self._closed:
            taken = self._slots.take(len(self._waiting))
            if taken:
                self._claim([self._waiting.popleft() for _ in range(taken)])
        if self._waiting:
            if self._full is None:
                self._full = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._hand_back)
        elif self._full is not None:
            self._full.cancel()
            self._full = None
        if self._paused and self._slots.free and not self._closed:
            self._switch(paused=False)

    async def close(self) -> None:
        """Stop taking tasks; those without a slot go back to the queue. May be called twice."""
        self._closed = True
        if self._full is not None:
            self._full.cancel()
        self._requeue()
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.wait([self._switching])
        for consumer in self._consumers:
            await consumer.close()
        self._consumers.clear()

    def _hand_back(self) -> None:
        self._full = None
        if self._slots.free == 0 and self._consumers:
            self._switch(paused=True)
            self._requeue()
        else:
            self.pump()

    def _requeue(self) -> None:
        kept: list[Entry] = []
        while self._waiting:
            entry = self._waiting.popleft()
            if entry[1] is not None:
                entry[1].requeue()
            else:
                kept.append(entry)
        self._waiting.extend(kept)

    def _switch(self, *, paused: bool) -> None:
        self._paused = paused
        if self._switching is None or self._switching.done():
            self._switching = asyncio.get_running_loop().create_task(self._follow(), name="task buffer")
            self._switching.add_done_callback(self._followed)

    async def _follow(self) -> None:
        """Pause or resume the consumers until all are as they should be; that may change meanwhile."""
        while self._switched != self._paused and not self._closed:
            paused, failed = self._paused, False
            for consumer in list(self._consumers):
                try:
                    await (consumer.pause() if paused else consumer.resume())
                except Exception as error:  # the broker may be away
                    _log.warning(
                        "a consumer cannot be %(state)s: %(error)r",
                        state="paused" if paused else "resumed",
                        error=error,
                    )
                    failed = True
            if failed:
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._switched = paused

    def _followed(self, done: asyncio.Task[None]) -> None:
        if self._switched != self._paused and not self._closed:
            self._switch(paused=self._paused)
