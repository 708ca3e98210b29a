"""Running steps in a step host: a function is called where it stands, without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from quince.hosts.stepper import Loading, Stepper, guarded
from quince.processes.execution import Execution

T = TypeVar("T")


class SharedStepper(Stepper):
    """Runs coroutines on the running loop, and calls there what else there is: imports, tests of outlines."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading

    async def _called(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


def run_forever(loop: asyncio.AbstractEventLoop) -> None:
    """Until it is stopped, or something raises what is to end a program, in a task or a callback that a step
    has made: whoever awaits that task gets it, and nobody else."""
    try:
        loop.run_forever()
    except (SystemExit, KeyboardInterrupt) as error:
        loop.call_exception_handler({"message": "raised beside the steps", "exception": error})


class ExclusiveStepper(Stepper):
    """Calls functions outside of the event loop, and enters it for coroutines. Its own coroutines never wait.

    Args:
        call: Calls a function of the user's.
        drive: Wraps a coroutine of the user's.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        call: Callable[..., Any],
        drive: Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]],
        loading: Loading,
    ) -> None:
        self._loading = loading
        self._loop = loop
        self._call_function = call
        self._drive = drive
        self._task: asyncio.Task[Any] | None = None

    async def _called(self, function: Callable[..., T], *args: Any) -> T:
        result: T = self._call_function(function, *args)
        return result

    def go_on(self) -> None:
        """Nothing is to be done: the task that was cancelled is over."""

    def cancel(self) -> None:
        """Cancel the coroutine that runs."""
        if self._task is not None and not self._task.cancelling():
            self._task.cancel("killed")

    async def _awaited(self, execution: Execution, answer: Any) -> Any:
        driven = self._drive(guarded(execution, answer))
        self._task = task = self._loop.create_task(driven, name=f"process {execution.pid}")
        task.add_done_callback(lambda _: self._loop.stop())
        while not task.done():  # users' code can stop the loop, too
            run_forever(self._loop)
        self._end_threads()
        return task.result()

    def _end_threads(self) -> None:
        """Of `asyncio.to_thread`: those that have nothing to do end, as after `asyncio.run`."""
        pool = getattr(self._loop, "_default_executor", None)
        if pool is not None:
            self._loop._default_executor = None  # type: ignore[attr-defined]
            pool.shutdown(wait=False)

    def _is_cancelled(self) -> bool:
        return self._task is not None and bool(self._task.cancelling())
