"""Running one step of a process: the user's code, in its thread or on the loop, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from quince.hosts.failures import CutOff
from quince.logs import current_speaker
from quince.processes.execution import Execution
from quince.processes.instructions import Return
from quince.processes.outline import Call, Search, Test, verdict
from quince.processes.spec import SUCCESS, ExitCode
from quince.text import words_of

T = TypeVar("T")
Loading = Callable[[], AbstractContextManager[None]]


class StepExited(RuntimeError):
    """A step raised what would end the interpreter (`sys.exit()`, ...); it ends the process alone."""


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended.

    Attributes:
        code: The process ends with this exit code; None: it goes on (or `error`).
        error: The exception that ended the process, or None.
    """

    code: ExitCode | None = None
    error: BaseException | None = None


class Stepper:
    """Runs steps: blocking ones in the threads of `threads`, coroutines on the running loop.

    Args:
        loading: Made around each other code of users that is called.

    Attributes:
        foretold: Whoever cancels a step has told its process before; else it has cancelled itself.
    """

    foretold = True

    def __init__(self, threads: Executor, loading: Loading = contextlib.nullcontext) -> None:
        self._threads = threads
        self._loading = loading

    async def step(self, execution: Execution) -> StepEnd:
        """Run the next step. Raises only CancelledError, and only if the step's task was cancelled."""
        execution.begin()
        try:
            execution.receive()
            call, answer = await self._call(execution)
            return _ending(execution, call, answer)
        except asyncio.CancelledError as error:
            if self._is_cancelled():
                raise
            return StepEnd(error=error)
        except Exception as error:
            return StepEnd(error=error)

    def is_own(self, execution: Execution) -> bool:
        """Whether code of the process has itself brought about the CancelledError with which it ended."""
        return not execution.record.doomed and (self.foretold or not self._is_cancelled())

    async def handle(self, execution: Execution, handler: Callable[..., Any], error: BaseException) -> Any:
        """What the handler of a step says about its error; it runs where steps run."""
        execution.begin()
        context = contextvars.copy_context()
        answer = await self._called(context.run, _handling, execution, handler, error)
        if isinstance(answer, BaseException):
            raise answer
        return await self._awaited(execution, answer) if inspect.isawaitable(answer) else answer

    def go_on(self) -> None:
        """The step was cancelled, and its process goes on here all the same."""
        if (task := asyncio.current_task()) is not None:
            task.uncancel()

    async def aside(self, function: Callable[..., T], *args: Any) -> T:
        """Call other code of users (an import, a migration) where blocking steps run."""
        with self._loading():
            return await self._called(function, *args)

    async def _called(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _awaited(self, execution: Execution, answer: Any) -> Awaitable[Any]:
        return guarded(execution, answer)

    def _is_cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and bool(task.cancelling())

    async def _call(self, execution: Execution) -> tuple[Call | Return | None, Any]:
        if execution.over:
            return None, None
        call: Call | Return | None = execution.direct()
        if isinstance(call, Call) and inspect.iscoroutinefunction(call.function):
            return call, await self._awaited(execution, _called(execution, call))
        search = execution.search()
        said: bool | None = None
        while True:
            context = contextvars.copy_context()
            found = await self._called(context.run, _blocking, execution, search, said)
            if isinstance(found, BaseException):
                raise found
            test, call, answer = found
            if inspect.isawaitable(answer):
                answer = await self._awaited(execution, answer)
            if test is None:
                return call, answer
            said = verdict(execution.name, test, answer)


class InlineStepper(Stepper):
    """Runs coroutines in tasks of their own: one that cancels its task does not cancel what drives its
    process, as a worker does that stops and tells nobody."""

    foretold = False

    def _awaited(self, execution: Execution, answer: Any) -> Awaitable[Any]:
        return asyncio.create_task(guarded(execution, answer), name=f"process {execution.pid}")


Found = tuple[Test | None, Call | Return | None, Any]
"""A step, if there is one, and what it returned; or a test before it, and its answer, to be awaited."""


def _blocking(execution: Execution, search: Search, said: bool | None) -> Found | BaseException:
    """On a thread: find the step, asking tests on the way, and run it, or make its coroutine.

    An exception of the user's is given back: asyncio would make a TimeoutError anew, without its traceback,
    and lets no StopIteration pass. A child that the step has forked ends here at the latest: of the engine
    it has a copy without a loop.
    """
    with _forks_end():
        return _safely(execution, partial(_searched, execution, search, said))


@contextlib.contextmanager
def _forks_end() -> Iterator[None]:
    this, status = os.getpid(), 0
    try:
        yield
    except BaseException:
        status = 1
        raise
    finally:
        if os.getpid() != this:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(status)


def _safely(execution: Execution, call: Callable[[], T]) -> T | BaseException:
    """What it returns; or its exception, as one that may leave a coroutine."""
    try:
        return call()
    except StopIteration as error:
        stopped = RuntimeError(f"a step of {execution.name} raised StopIteration")
        stopped.__cause__ = error
        return stopped
    except (Exception, CutOff) as error:
        return error
    except BaseException as error:  # SystemExit, KeyboardInterrupt, GeneratorExit: not the worker's end
        ended = _exited(execution, error)
        ended.__cause__ = error
        return ended


def _handling(execution: Execution, handler: Callable[..., Any], error: BaseException) -> Any:
    with _forks_end():
        return _safely(execution, partial(handler, execution.process, error))


def _searched(execution: Execution, search: Search, said: bool | None) -> Found:
    while True:
        test, call = _sought(search, said)
        if test is None:
            return None, call, _called(execution, call) if isinstance(call, Call) else None
        if execution.record.doomed:
            raise StepExited("killed")
        execution.enter(test)
        answer = test(execution.process)
        if inspect.isawaitable(answer):
            return test, None, answer
        said = verdict(execution.name, test, answer)


def _called(execution: Execution, call: Call) -> Any:
    if (speaker := current_speaker.get()) is not None:
        speaker.step = getattr(call.function, "__name__", None)
    execution.enter(call.function)
    return call.function(execution.process)


def _sought(search: Search, said: bool | None) -> tuple[Test | None, Call | Return | None]:
    """The next test to ask, or the step, `return_` or end that was found."""
    try:
        return (next(search) if said is None else search.send(said)), None
    except StopIteration as found:
        return None, found.value


async def guarded(execution: Execution, answer: Any) -> Any:
    """What a coroutine of a step returns. It can be cancelled while it runs, and ends its process alone."""
    execution.record.cancellable = True
    task = asyncio.current_task()
    try:
        if execution.record.doomed and task is not None:
            if inspect.iscoroutine(answer):
                answer.close()
            task.cancel("killed")
            await asyncio.sleep(0)  # here, and not where the runner awaits something next
        return await answer
    except (Exception, asyncio.CancelledError, CutOff):
        raise
    except BaseException as error:
        raise _exited(execution, error) from error
    finally:
        execution.record.cancellable = False


def _exited(execution: Execution, error: BaseException) -> StepExited:
    return StepExited(f"a step of {execution.name} ended with {type(error).__name__}({words_of(error)})")


def _ending(execution: Execution, call: Call | Return | None, answer: Any) -> StepEnd:
    if call is None:
        return StepEnd(code=SUCCESS)
    if isinstance(call, Return):
        code = SUCCESS if call.exit_code is None else execution.exit_code(None, call.exit_code)
        return StepEnd(code=code)
    return StepEnd(code=execution.handled(call, answer))
