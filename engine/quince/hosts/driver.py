"""Between the event loop of a step host and users' coroutines: each resumption of them passes through here.

So a coroutine can be kept from going on (a pause), be given up although it swallows its cancellation, and it
is known at any moment whose code runs. What holds for the coroutine of a step holds for the tasks that it
makes.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Generator
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakSet

from quince.hosts.who_runs import WhoRuns

T = TypeVar("T")

_stubborn: list[Coroutine[Any, Any, Any]] = []
_driver: contextvars.ContextVar[Driver | None] = contextvars.ContextVar("quince_driver", default=None)


class Driver:
    """Drives the coroutines of one process, for one step.

    Attributes:
        pid: Of the process.
        held: They are not resumed: until `play`, or any more.
        abandoned: They are never resumed again.
        programs: That the step has started on the event loop.
    """

    def __init__(self, pid: int, who_runs: WhoRuns) -> None:
        self.pid = pid
        self.who_runs = who_runs
        self.held = False
        self.abandoned = False
        self._coroutines: WeakSet[DrivenCoroutine[Any]] = WeakSet()
        self._gates: list[asyncio.Future[None]] = []

    @cached_property
    def programs(self) -> WeakSet[asyncio.SubprocessTransport]:
        return WeakSet()

    @cached_property
    def _tasks(self) -> WeakSet[asyncio.Task[Any]]:
        return WeakSet()

    async def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine of the step; tasks that are made in it are driven, too.

        Raises:
            CancelledError: it was abandoned.
        """
        before = _driver.set(self)
        one = self.driven(coroutine)
        try:
            return await one
        finally:
            _driver.reset(before)
            one.close_for_good()

    def driven(self, coroutine: Coroutine[Any, Any, T]) -> DrivenCoroutine[T]:
        """A coroutine of the process, to be awaited or to be made a task."""
        one = DrivenCoroutine(coroutine, self)
        self._coroutines.add(one)
        return one

    def pause(self) -> None:
        """Resume none of them until `play`. What they wait for goes on: programs, timers, threads."""
        self.held = True

    def play(self) -> None:
        """Let them go on."""
        self.held = self.abandoned
        gates, self._gates = self._gates, []
        for gate in gates:
            if not gate.done():
                gate.set_result(None)

    def end_what_it_made(self) -> None:
        """Cancel the tasks that the step has made, and have the programs end that it has started."""
        for task in list(self._tasks):
            task.cancel()
        for program in list(self.programs):
            with suppress(ProcessLookupError):
                program.kill() if self.abandoned else program.terminate()

    def abandon(self) -> None:
        """Resume none of them any more. It may be called at any moment, in a signal handler too."""
        self.held = self.abandoned = True

    def leave_nothing(self) -> None:
        """Abandon what is left, and close it: GeneratorExit is raised where they stand, and whoever goes on
        all the same is left there. Their tasks and programs end."""
        self.abandon()
        for one in list(self._coroutines):
            one.close_for_good()
        self.end_what_it_made()

    def gate(self) -> asyncio.Future[None]:
        """What a task waits for that is not to go on."""
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        gate._asyncio_future_blocking = True  # as `await gate` says to the task
        return gate

    def new_task(self, loop: asyncio.AbstractEventLoop, one: Any, **options: Any) -> asyncio.Task[Any]:
        """A task of the process."""
        task: asyncio.Task[Any] = asyncio.Task(self.driven(one), loop=loop, **options)
        self._tasks.add(task)
        return task


def driven_pid() -> int:
    """Of the process in whose code, or for which, this is called; 0: for none."""
    driver = _driver.get()
    return 0 if driver is None else driver.pid


class DrivingLoop(asyncio.SelectorEventLoop):
    """An event loop on which what a process makes is known to be of that process: tasks, which are driven,
    and programs."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(new_task)

    async def subprocess_exec(self, *arguments: Any, **options: Any) -> Any:
        return _owned(await super().subprocess_exec(*arguments, **options))

    async def subprocess_shell(self, *arguments: Any, **options: Any) -> Any:
        return _owned(await super().subprocess_shell(*arguments, **options))


def _owned(made: Any) -> Any:
    if (driver := _driver.get()) is not None:
        driver.programs.add(made[0])
    return made


def new_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """A task on a driving loop."""
    context = options.get("context")
    driver = _driver.get() if context is None else context.get(_driver)
    if driver is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    return driver.new_task(loop, coroutine, **options)


class DrivenCoroutine(Coroutine[Any, Any, T]):
    """A coroutine that stands for another one, and resumes it if its driver lets it. What else a coroutine is
    asked (its name, its frame), the other one answers."""

    def __init__(self, inner: Coroutine[Any, Any, T], driver: Driver) -> None:
        self._inner = inner
        self._driver = driver
        self._error: BaseException | None = None
        self._closed = False

    def send(self, value: Any) -> Any:
        if self._driver.held:
            return self._hold(None)
        error, self._error = self._error, None
        if error is not None:
            return self._resume(self._inner.throw, error)
        return self._resume(self._inner.send, value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if self._driver.held:
            return self._hold(error)
        self._error = None
        return self._resume(self._inner.throw, error)

    def close(self) -> None:
        before = self._driver.who_runs.enter(self._driver.pid)
        try:
            self._inner.close()
        finally:
            self._driver.who_runs.leave(before)

    def close_for_good(self) -> None:
        """Close it, whatever it does about that."""
        if not self._closed:
            self._closed = True
            try:
                self.close()
            except RuntimeError:  # it goes on all the same; when it is collected it would do so again
                _stubborn.append(self._inner)
            except BaseException:
                return

    def _resume(self, how: Any, value: Any) -> Any:
        driver = self._driver
        before = driver.who_runs.enter(driver.pid)
        try:
            awaited = how(value)
        finally:
            driver.who_runs.leave(before)
        if driver.abandoned:  # while it ran
            return self._hold(None)
        return awaited

    def _hold(self, error: BaseException | None) -> Any:
        """Do not go on: wait, with what was to be raised there; or end."""
        if self._driver.abandoned:
            self.close_for_good()
            raise asyncio.CancelledError("abandoned")
        self._error = error or self._error
        return self._driver.gate()

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def __iter__(self) -> DrivenCoroutine[T]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
