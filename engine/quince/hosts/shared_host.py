"""A step host in which many processes run side by side: coroutines on one event loop; functions, of classes
that want it so, in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from quince.concurrency import StepThreads, settle
from quince.hosts.direct_steppers import SharedStepper, run_forever
from quince.hosts.driver import driven_pid
from quince.hosts.host import StepHost
from quince.hosts.hosted_step import HostedStep
from quince.hosts.protocol import Begin, Done, Kind, Order
from quince.hosts.stepper import Stepper

T = TypeVar("T")

MOST_THREADS = 10_000
"""The slots of the worker limit how many are at work."""
LAST_SECONDS = 5.0
"""Seconds that what a step has made, which was stopped, has to come to an end."""


class SharedHost(StepHost):
    """Each step is a task of its own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._stepper = SharedStepper(self._traces.loading)
        if self._kind is Kind.THREADS:
            self._stepper = Stepper(StepThreads(MOST_THREADS), self._traces.loading)
        self._calls: deque[Callable[[], None]] = deque()
        self._context = contextvars.copy_context()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def serve(self) -> None:
        self._open()
        while self._failed is None:
            run_forever(self._loop)
            while self._calls:
                self._calls.popleft()()
        raise self._failed

    async def _outside(self, function: Callable[..., T], *args: Any) -> T:
        called: Future[T] = Future()
        pid = driven_pid()

        def call() -> T:
            with self._who_runs.running(pid):
                return function(*args)

        self._calls.append(lambda: settle(called, call))
        self._loop.stop()
        return await asyncio.wrap_future(called)

    # What comes

    def _begin(self, begin: Begin) -> None:
        step, context = self._step(begin, self._steps[begin.pid]), self._context.copy()  # not the receiver's
        task = self._loop.create_task(step, name=f"process {begin.pid}", context=context)
        self._tasks[begin.pid] = task
        task.add_done_callback(self._stepped)

    def _stepped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _step(self, begin: Begin, step: HostedStep) -> None:
        try:
            await super()._step(begin, step)
        finally:
            if self._tasks.get(begin.pid) is asyncio.current_task():
                del self._tasks[begin.pid]
            if step.stopping:
                step.driver.end_what_it_made()
                self._loop.call_later(LAST_SECONDS, step.driver.leave_nothing)

    def _give_back(self) -> None:
        for pid, task in list(self._tasks.items()):
            if inspect.getcoroutinestate(cast(Any, task.get_coro())) == inspect.CORO_CREATED:
                task.cancel()
                del self._tasks[pid], self._steps[pid]
                self._processes.pop(pid, None)
                self._link.send(Done(pid, failure="NotBegun"))
        self._link.flush()

    def _driven(self, step: HostedStep, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        return step.driver.drive(coroutine)

    # Stopping a step

    def _on_order(self, order: Order) -> None:
        if order.verb != "abandon":
            super()._on_order(order)
        elif (step := self._steps.get(order.pid)) is not None and step.abandon():
            task = self._tasks[order.pid]

            def close() -> None:
                step.driver.leave_nothing()
                task.cancel("abandoned")

            if self._who_runs.pid:  # this is in the midst of another one's code
                self._loop.call_soon_threadsafe(close)
            else:
                close()
            self._tell(step, step.stopped)

    def _obey(self) -> None:
        super()._obey()
        self._link.flush()

    def _cancel(self, pid: int) -> None:
        task = self._tasks[pid]
        if not task.cancelling():
            task.cancel("killed")
