"""Submitting processes to the daemon, and running them here and now."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from quince.client.handle import ProcessHandle, WorkspaceLike, settled
from quince.client.notify import ring
from quince.errors import ControlRefused, EngineError, ProcessExcepted, UnknownTarget
from quince.processes.arguments import each_given, gathered, refuse_unnamed
from quince.processes.checkpoint import user_frames
from quince.processes.definition import class_of
from quince.processes.process import new_process
from quince.worker.outbox import run_queue
from quince.worker.worker import Worker
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.errors import PersistenceError, PidTaken
from quince_persistence.records import NewProcess, ProcessRow, Woken

KILL_SECONDS = 10.0
"""Seconds that an interrupted `run()` waits for the store to take down that its process is killed."""

LEAVE_SECONDS = 3.0
"""Seconds that it waits for its worker to leave. What has not ended then (a step that does not want to, a
store that does not answer, a program that its guard ends) ends with this program."""


TURN_SECONDS = 2.0
"""Seconds that it waits for the worker's event loop, which a coroutine step that blocks holds up."""


class RunInterrupted(KeyboardInterrupt):
    """`run()` was interrupted; its process is killed, unless the store was away. Attribute `pid`."""

    def __init__(self, pid: int, story: str) -> None:
        super().__init__(f"process {pid} {story}")
        self.pid = pid


def submit(
    process_class: Any,
    /,
    *unnamed: Any,
    inputs: Mapping[str, Any] | None = None,
    key: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
    **named: Any,
) -> ProcessHandle:
    """Submit a process to the daemon. Durable on return, whether a daemon runs or not.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        inputs: Its inputs, by name; those called as an argument of this function can be given only here.
        key: At most one process has a given key: submitting again returns the one that has it.
        queue: Which workers run it; `default` if not given.
        priority: 0 to 9 (first); 0 if not given.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.
        named: Its inputs, or more of them.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    refuse_unnamed("submit", process_class, unnamed)
    given = gathered(
        process_class, inputs, named, key=key, queue=queue, priority=priority, workspace=workspace
    )
    return submit_many(
        process_class, [given], keys=[key], queue=queue, priority=priority, workspace=workspace
    )[0]


def submit_many(
    process_class: Any,
    inputs: Iterable[Mapping[str, Any]],
    /,
    *,
    keys: Sequence[str | None] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
) -> list[ProcessHandle]:
    """Submit one process for each mapping of inputs, in one transaction: all or none.

    Args, Raises: as `submit`; `keys`: one for each, or None.
    """
    home = resolve(workspace)
    home.place.require_shared()
    path = _path_for_workers(process_class, home)
    given = each_given(inputs, keys)
    _ = home.communicator  # a broker that cannot be reached is told before anything is written
    processes, pids = _insert(home, lambda: _prepare(home, process_class, path, given, keys, queue, priority))
    ring(home, [_ready(new) for new, pid in zip(processes, pids, strict=True) if new.pid == pid])
    return [ProcessHandle(pid, home) for pid in pids]


async def asubmit(process_class: Any, /, **arguments: Any) -> ProcessHandle:
    """`submit` for programs on an event loop: other coroutines go on while it writes.

    Args, Raises: as `submit`. Cancelled, it may have submitted or not: give a `key` to ask again.
    """
    return await asyncio.to_thread(submit, process_class, **arguments)


async def asubmit_many(
    process_class: Any, inputs: Iterable[Mapping[str, Any]], /, **arguments: Any
) -> list[ProcessHandle]:
    """`submit_many` for programs on an event loop. Args, Raises: as `submit_many`."""
    return await asyncio.to_thread(submit_many, process_class, inputs, **arguments)


def _ready(new: NewProcess) -> Woken:
    return Woken(new.pid, None, new.queue, new.priority)


def run(
    process_class: Any,
    /,
    *unnamed: Any,
    inputs: Mapping[str, Any] | None = None,
    key: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
    **named: Any,
) -> Mapping[str, Any]:
    """Run a process and its children here and now, without a daemon, and return its outputs.

    It is `submit` plus a worker inside this program: everything is checkpointed and can be seen and
    controlled from elsewhere. Interrupting it (Ctrl-C) kills the process.

    However it ends, what has not ended by then (children that nobody waited for; after an outage, the
    process itself) is left to the daemon's workers, which go on with it when they come.

    Raises:
        As `submit`, and as `ProcessHandle.result`; the cause of a `ProcessExcepted` is the exception itself,
        and its traceback ends in the step that raised it.
        RunInterrupted: a `KeyboardInterrupt` that knows the pid.
    """
    cls = class_of(process_class)
    refuse_unnamed("run", cls, unnamed)
    home = resolve(workspace)
    home.place.require_shared()
    given = gathered(cls, inputs, named, key=key, priority=priority, workspace=workspace)
    with _WorkerThread(home) as worker:
        path = home.registry.name_of(cls)
        queue = run_queue(worker.id)
        _, (pid,) = _insert(home, lambda: _prepare(home, cls, path, [given], [key], queue, priority))
        worker.feed_from_outside([pid])
        handle = ProcessHandle(pid, home)
        try:
            home.watcher.wait([pid], settled, progress=worker.require_alive)
            return handle.result()
        except ProcessExcepted as excepted:
            error = worker.error(pid)
            if error is None:
                raise
            # The last frames become those of the step: a debugger's post mortem begins there.
            error.__traceback__ = user_frames(error)
            raise excepted.with_traceback(error.__traceback__) from error
        except KeyboardInterrupt:
            raise _interrupted(handle) from None


def _interrupted(handle: ProcessHandle) -> RunInterrupted:
    """Kill it; whoever interrupts does not wait for a store that is away."""
    said: list[Exception] = []

    def kill() -> None:
        try:
            handle.kill("run() was interrupted")
        except (ControlRefused, PersistenceError) as error:
            said.append(error)

    killer = threading.Thread(target=kill, name="quince-kill", daemon=True)
    killer.start()
    killer.join(KILL_SECONDS)
    if said and isinstance(said[0], ControlRefused):
        return RunInterrupted(handle.pid, "had ended already")
    if said or killer.is_alive():
        return RunInterrupted(
            handle.pid,
            "is not killed yet, since the store does not answer; if it is not when the store does, a worker "
            f"goes on with it: quince kill {handle.pid}",
        )
    return RunInterrupted(handle.pid, "is killed")


def _insert(
    home: Workspace, prepare: Callable[[], list[NewProcess]]
) -> tuple[list[NewProcess], Sequence[int]]:
    """Insert what `prepare` makes, with other pids if the store was put back to a backup meanwhile."""
    try:
        processes = prepare()
        return processes, home.store.insert(processes).result()
    except PidTaken:
        home.store.forget_pids()
        processes = prepare()
        return processes, home.store.insert(processes).result()


def _prepare(
    home: Workspace,
    process_class: Any,
    path: str,
    inputs: Sequence[Mapping[str, Any]],
    keys: Sequence[str | None] | None,
    queue: str | None,
    priority: int | None,
) -> list[NewProcess]:
    cls = class_of(process_class)
    pids = home.store.allocate_pids(len(inputs))
    return [
        new_process(cls, values, pid=pid, class_path=path, queue=queue, priority=priority, key=key)
        for values, pid, key in zip(inputs, pids, keys or [None] * len(inputs), strict=True)
    ]


def _path_for_workers(process_class: Any, home: Workspace) -> str:
    cls = class_of(process_class)
    path = home.registry.name_of(cls)
    if path.startswith("__main__:"):
        raise UnknownTarget(
            f"{path.partition(':')[2]} is defined in an interactive session, where no worker can find it; "
            "put it in a file (or use run(), which needs no worker)"
        )
    return path


class _WorkerThread:
    """A worker on a thread and an event loop of its own, for the time of one `run()`."""

    def __init__(self, home: Workspace) -> None:
        self._worker = Worker(home.place, queues=(), name="run", registry=home.registry, checked=True)
        self.id = self._worker.id
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="quince-run", daemon=True)

    def feed_from_outside(self, pids: Sequence[int]) -> None:
        """Run these (from any thread)."""
        self._worker.errors.update(dict.fromkeys(pids))
        self._worker.call(lambda: self._worker.feed(pids))

    def require_alive(self, rows: Sequence[ProcessRow]) -> None:
        """Raise what has ended the worker, if it has: nobody else may ever take up what is waited for."""
        if not self._thread.is_alive() and not all(row.terminated for row in rows):
            raise self._error or EngineError("the worker of run() has ended; a daemon's worker goes on")

    def error(self, pid: int) -> BaseException | None:
        """The exception that ended one of them here, if one did."""
        return self._worker.errors.get(pid)

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
        self._worker.stop()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self._leave()
            raise

    def _leave(self) -> None:
        """End now. A store that does not answer may take its time to close: nobody waits for that.

        Nor for a step that holds up the event loop: the worker leaves when it lets go, or with the program.
        """
        turned = threading.Event()
        self._worker.leave()
        self._worker.call(turned.set)
        if turned.wait(TURN_SECONDS):
            self._thread.join(LEAVE_SECONDS)

    def _main(self) -> None:
        try:
            asyncio.run(self._worker.run(self._ready))
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()
