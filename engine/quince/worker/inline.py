"""Running processes here and now: a worker inside the program that asks for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from quince.client.handle import ProcessHandle, WorkspaceLike
from quince.client.submit import insert
from quince.client.waits import settled
from quince.concurrency import StepThreads
from quince.errors import ControlRefused, EngineError, ProcessExcepted
from quince.messages import run_queue
from quince.moments import Deadline
from quince.processes.creation import gathered, refuse_unnamed
from quince.processes.definition import class_of
from quince.processes.error_record import user_frames
from quince.processes.functions import P, ProcessFunction, Value
from quince.processes.options import Wishes
from quince.processes.process import Process
from quince.processes.running_step import steps_here
from quince.worker.calling_thread import CallingThread
from quince.worker.switching import quick_switching
from quince.worker.worker import Worker
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.errors import PersistenceError
from quince_persistence.records import ProcessRow

KILL_SECONDS = 10.0
"""Seconds that an interrupted `run()` waits for the store to take down that its process is killed."""

LEAVE_SECONDS = 3.0
"""Seconds that it waits for its worker to leave. What has not ended then (a step that does not want to, a
store that does not answer, a program that its guard ends) ends with this program."""

TURN_SECONDS = 2.0
"""Seconds that it waits for the worker's event loop, which a coroutine step that blocks holds up."""


class RunInterrupted(KeyboardInterrupt):
    """`run()` was interrupted (Ctrl-C). It is a `KeyboardInterrupt`: `except Exception` does not catch it.

    Its process is killed, unless the store was away.

    Attributes:
        pid: The process.
    """

    def __init__(self, pid: int, story: str) -> None:
        super().__init__(f"process {pid} {story}")
        self.pid = pid


@overload
def run(
    function: ProcessFunction[P, Any, Value], /, *args: P.args, **inputs: P.kwargs
) -> Mapping[str, Value]: ...
@overload
def run(
    function: ProcessFunction[..., Any, Value], /, *, inputs: Mapping[str, Any] | None,
    key: str | None = None, priority: int | None = None, labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
    cache: bool | None = None, workspace: WorkspaceLike = None, **named: Any,
) -> Mapping[str, Value]: ...  # fmt: skip
@overload
def run(
    function: ProcessFunction[..., Any, Value], /, *, key: str | None,
    inputs: Mapping[str, Any] | None = None, priority: int | None = None, workspace: WorkspaceLike = None,
    **named: Any,
) -> Mapping[str, Value]: ...  # fmt: skip
@overload
def run(
    function: ProcessFunction[..., Any, Value], /, *, priority: int | None,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, workspace: WorkspaceLike = None,
    **named: Any,
) -> Mapping[str, Value]: ...  # fmt: skip
@overload
def run(
    function: ProcessFunction[..., Any, Value], /, *, workspace: WorkspaceLike,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, priority: int | None = None,
    **named: Any,
) -> Mapping[str, Value]: ...  # fmt: skip
@overload
def run(
    process_class: type[Process], /, *, inputs: Mapping[str, Any] | None = None, key: str | None = None,
    priority: int | None = None, labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
    cache: bool | None = None, workspace: WorkspaceLike = None, **named: Any,
) -> Mapping[str, Any]: ...  # fmt: skip
def run(  # type: ignore[misc]  # a function may have a parameter called `key`, of another type
    process_class: Any,
    /,
    *unnamed: Any,
    inputs: Mapping[str, Any] | None = None,
    key: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None,
    on_failure: str | None = None,
    deadline: Deadline | None = None,
    cache: bool | None = None,
    workspace: WorkspaceLike = None,
    **named: Any,
) -> Mapping[str, Any]:
    """Run a process and its children here and now, without a daemon, and return its outputs.

    It is `submit` plus a worker inside this program: everything is checkpointed and can be seen and
    controlled from elsewhere. Interrupting it (Ctrl-C) kills the process.

    However it ends, what has not ended by then (children that nobody waited for; after an outage, the
    process itself) is left to the daemon's workers, which go on with it when they come.

    Args:
        process_class: A process class or a `@process` function.
        inputs: Its inputs, by name; those called as an argument of this function can be given only here.
        key: At most one process has a given key: the one that has it is waited for.
        priority: 0 to 9 (first), for children that are left to workers; here they begin as they come.
        labels: By which it is found; children have those of their parent.
        limits: Names of limits that it holds while it is at work.
        on_failure: `fail` or `pause`; as the class says if not given.
        deadline: When it must have ended, with its tree (`"2 h"`, or a `datetime`); then it is killed.
        cache: Whether the outputs of one that ended well with the same inputs may be taken for its own.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.
        named: Its inputs, or more of them.

    Returns:
        Its outputs, by name.

    Raises:
        ProcessExcepted: it ended with an exception, which is the cause (`error.__cause__`); its traceback
            ends in the step that raised it.
        ProcessKilled, ProcessFailed, ProcessHeld: it ended, or stands still, in another way.
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker.
        RunInterrupted: Ctrl-C; a `KeyboardInterrupt` that knows the pid.
    """
    cls = class_of(process_class)
    refuse_unnamed("run", cls, unnamed)
    home = resolve(workspace)
    home.location.require_shared()
    wishes = Wishes(key, None, priority, labels, limits, on_failure, deadline, cache)
    given = gathered(cls, inputs, named, wishes, workspace=workspace)
    with quick_switching(), _WorkerThread(home) as thread:
        path = home.registry.name_of(cls)
        wishes = replace(wishes, queue=run_queue(thread.worker.id))
        _, (pid,) = insert(home, cls, path, [given], [wishes])
        thread.feed(pid)
        handle = ProcessHandle(pid, home)
        try:
            thread.wait_for(handle)
            return handle.result()
        except ProcessExcepted as excepted:
            error = thread.worker.errors.get(pid)
            if error is None:
                raise
            # The last frames become those of the step: a debugger's post mortem begins there.
            error.__traceback__ = user_frames(error)
            excepted.__notes__ = []  # all of that is its cause
            raise excepted.with_traceback(error.__traceback__) from error
        except KeyboardInterrupt:
            raise _interrupted(handle) from None


def _interrupted(handle: ProcessHandle) -> RunInterrupted:
    """Kill it; whoever interrupts does not wait for a store that is away."""
    killing = StepThreads(1, "quince-kill").submit(handle.kill, "run() was interrupted")
    try:
        killing.result(KILL_SECONDS)
    except ControlRefused:
        return RunInterrupted(handle.pid, "had ended already")
    except (PersistenceError, TimeoutError):
        return RunInterrupted(
            handle.pid,
            "is not killed yet, since the store does not answer; if it is not when the store does, a worker "
            f"goes on with it: quince kill {handle.pid}",
        )
    return RunInterrupted(handle.pid, "is killed")


def _loop_runs_here() -> bool:
    """A notebook's, say: a function of the user's might want one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _WorkerThread:
    """A worker on a thread and an event loop of its own, for the time of one `run()`."""

    def __init__(self, home: Workspace) -> None:
        self._root: int | None = None
        steps, _ = steps_here()
        self._calling = None if _loop_runs_here() else CallingThread(self._root_is_alive)
        self.worker = Worker(
            home.location,
            queues=(),
            name="run",
            registry=home.registry,
            checked=True,
            calling=self._calling,
            outer=steps[0] if len(steps) == 1 else None,
        )
        self._left = False
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="quince-run", daemon=True)

    def feed(self, pid: int) -> None:
        """Run it, and keep the exception that ends it, if one does."""
        self._root = pid
        self.worker.errors[pid] = None
        self.worker.call(lambda: self.worker.feed([pid]))

    def wait_for(self, handle: ProcessHandle) -> None:
        """Until the process has settled. Functions of users run on this thread meanwhile, if it is free."""

        def wait() -> object:
            return handle.workspace.watcher.wait([handle.pid], settled, progress=self._require_alive)

        if self._calling is None:
            wait()
            return
        thread = StepThreads(1, "quince-wait")
        try:
            self._calling.serve(thread.submit(wait))
        finally:
            thread.shutdown()

    def _root_is_alive(self) -> bool:
        """What it has left behind at its end takes nobody's thread, who could not return before that ends."""
        return self._root in self.worker.runners

    def _require_alive(self, rows: Sequence[ProcessRow]) -> None:
        """Raise what has ended the worker, if it has: nobody else may ever take up what is waited for."""
        if self._left:
            raise EngineError("nobody waits any more")
        if not self._thread.is_alive() and not all(row.terminated for row in rows):
            raise self._error or EngineError("the worker of run() has ended; a daemon's worker goes on")

    def __enter__(self) -> _WorkerThread:
        self._thread.start()
        try:
            self._ready.wait()
        except KeyboardInterrupt:
            self._leave()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._leave()
            return
        self.worker.stop()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self._leave()
            raise

    def _leave(self) -> None:
        """End now. A store that does not answer may take its time to close: nobody waits for that.

        Nor for a step that holds up the event loop: the worker leaves when it lets go, or with the program.
        """
        self._left = True
        turned = threading.Event()
        self.worker.leave()
        self.worker.call(turned.set)
        if turned.wait(TURN_SECONDS):
            self._thread.join(LEAVE_SECONDS)

    def _main(self) -> None:
        try:
            asyncio.run(self.worker.run(self._ready))
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()
