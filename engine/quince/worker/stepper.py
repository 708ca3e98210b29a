"""Running one step of a process: the user's code, in its thread or on the loop, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from quince.processes.instructions import Return
from quince.processes.outline import Call, Search, Test, verdict
from quince.processes.process import Process
from quince.processes.spec import SUCCESS, ExitCode
from quince.text import words_of

T = TypeVar("T")


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
    """Runs steps: blocking ones in the threads of `threads`, coroutines on the running loop."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def step(self, process: Process) -> StepEnd:
        """Run the next step. Raises only CancelledError, and only if the step's task was cancelled."""
        process._begin()
        try:
            process._receive()
            call, answer = await self._call(process)
            return _ending(process, call, answer)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return StepEnd(error=error)
        except Exception as error:
            return StepEnd(error=error)

    async def aside(self, function: Callable[..., T], *args: Any) -> T:
        """Call other code of users (an import, a migration) where blocking steps run."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _call(self, process: Process) -> tuple[Call | Return | None, Any]:
        if process._over:
            return None, None
        call: Call | Return | None = process._direct()
        if isinstance(call, Call) and inspect.iscoroutinefunction(call.function):
            return call, await _guarded(process, call.function(process))
        loop, search = asyncio.get_running_loop(), process._search()
        said: bool | None = None
        while True:
            context = contextvars.copy_context()
            found = await loop.run_in_executor(self._threads, context.run, _blocking, process, search, said)
            if isinstance(found, BaseException):
                raise found
            test, call, answer = found
            if inspect.isawaitable(answer):
                answer = await _guarded(process, answer)
            if test is None:
                return call, answer
            said = verdict(type(process).__name__, test, answer)


Found = tuple[Test | None, Call | Return | None, Any]
"""A step, if there is one, and what it returned; or a test before it, and its answer, to be awaited."""


def _blocking(process: Process, search: Search, said: bool | None) -> Found | Exception:
    """On a thread: find the step, asking tests on the way, and run it, or make its coroutine.

    An exception of the user's is given back: asyncio would make a TimeoutError anew, without its traceback,
    and lets no StopIteration pass. A child that the step has forked ends here at the latest: of the engine
    it has a copy without a loop.
    """
    with _forks_end():
        return _run_blocking(process, search, said)


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


def _run_blocking(process: Process, search: Search, said: bool | None) -> Found | Exception:
    try:
        while True:
            test, call = _sought(search, said)
            if test is None:
                return None, call, call.function(process) if isinstance(call, Call) else None
            if process._record.doomed:
                raise StepExited("killed")
            answer = test(process)
            if inspect.isawaitable(answer):
                return test, None, answer
            said = verdict(type(process).__name__, test, answer)
    except StopIteration as error:  # cannot leave a coroutine
        stopped = RuntimeError(f"a step of {type(process).__name__} raised StopIteration")
        stopped.__cause__ = error
        return stopped
    except Exception as error:
        return error
    except BaseException as error:  # SystemExit, KeyboardInterrupt, GeneratorExit: not the worker's end
        ended = _exited(process, error)
        ended.__cause__ = error
        return ended


def _sought(search: Search, said: bool | None) -> tuple[Test | None, Call | Return | None]:
    """The next test to ask, or the step, `return_` or end that was found."""
    try:
        return (next(search) if said is None else search.send(said)), None
    except StopIteration as found:
        return None, found.value


async def _guarded(process: Process, answer: Any) -> Any:
    process._record.cancellable = True
    task = asyncio.current_task()
    try:
        if process._record.doomed and task is not None:
            if inspect.iscoroutine(answer):
                answer.close()
            task.cancel("killed")
            await asyncio.sleep(0)  # here, and not where the runner awaits something next
        return await answer
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise _exited(process, error) from error
    finally:
        process._record.cancellable = False


def _exited(process: Process, error: BaseException) -> StepExited:
    return StepExited(
        f"a step of {type(process).__name__} ended with {type(error).__name__}({words_of(error)})"
    )


def _ending(process: Process, call: Call | Return | None, answer: Any) -> StepEnd:
    if call is None:
        return StepEnd(code=SUCCESS)
    if isinstance(call, Return):
        code = SUCCESS if call.exit_code is None else process._exit_code(None, call.exit_code)
        return StepEnd(code=code)
    return StepEnd(code=process._took(call, answer))
