"""Submitting processes to the daemon, and running them here and now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from quince.client.handle import ProcessHandle, WorkspaceLike
from quince.client.notify import enqueue
from quince.errors import UnknownTarget
from quince.processes.creation import each_given, gathered, new_process, refuse_unnamed
from quince.processes.definition import class_of
from quince.processes.functions import P, ProcessFunction, Value
from quince.processes.process import Process
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.errors import PidTaken
from quince_persistence.records import NewProcess, Woken


@overload
def submit(
    function: ProcessFunction[P, Any, Value], /, *args: P.args, **inputs: P.kwargs
) -> ProcessHandle[Value]: ...
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, inputs: Mapping[str, Any] | None,
    key: str | None = None, queue: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, key: str | None,
    inputs: Mapping[str, Any] | None = None, queue: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, queue: str | None,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, priority: int | None,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, queue: str | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, workspace: WorkspaceLike,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, queue: str | None = None,
    priority: int | None = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
def submit(
    process_class: type[Process], /, *, inputs: Mapping[str, Any] | None = None, key: str | None = None,
    queue: str | None = None, priority: int | None = None, workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Any]: ...  # fmt: skip
def submit(  # type: ignore[misc]  # a function may have a parameter called `key`, of another type
    process_class: Any,
    /,
    *unnamed: Any,
    inputs: Mapping[str, Any] | None = None,
    key: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
    **named: Any,
) -> ProcessHandle[Any]:
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
    process_class: type[Process] | ProcessFunction[..., Any, Value],
    inputs: Iterable[Mapping[str, Any]],
    /,
    *,
    keys: Sequence[str | None] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
) -> list[ProcessHandle[Value]]:
    """Submit one process for each mapping of inputs, in one transaction: all or none. Durable on return.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        inputs: The inputs of each process, by name.
        keys: One for each process, or None: at most one process has a given key.
        queue: Which workers run them; `default` if not given.
        priority: 0 to 9 (first); 0 if not given.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Returns:
        Their handles, in the order of `inputs`.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    home = resolve(workspace)
    home.location.require_shared()
    path = _path_for_workers(process_class, home)
    given = each_given(inputs, keys)
    _ = home.communicator  # a broker that cannot be reached is an error before anything is written
    processes, pids = insert(home, process_class, path, given, keys, queue, priority)
    new = [one for one, pid in zip(processes, pids, strict=True) if one.pid == pid]
    enqueue(home, [Woken(one.pid, None, one.queue, one.priority) for one in new])
    return [ProcessHandle(pid, home) for pid in pids]


@overload
async def asubmit(
    function: ProcessFunction[P, Any, Value], /, *args: P.args, **inputs: P.kwargs
) -> ProcessHandle[Value]: ...
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, inputs: Mapping[str, Any] | None,
    key: str | None = None, queue: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, key: str | None,
    inputs: Mapping[str, Any] | None = None, queue: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, queue: str | None,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, priority: int | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, priority: int | None,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, queue: str | None = None,
    workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, workspace: WorkspaceLike,
    inputs: Mapping[str, Any] | None = None, key: str | None = None, queue: str | None = None,
    priority: int | None = None, **named: Any,
) -> ProcessHandle[Value]: ...  # fmt: skip
@overload
async def asubmit(
    process_class: type[Process], /, *, inputs: Mapping[str, Any] | None = None, key: str | None = None,
    queue: str | None = None, priority: int | None = None, workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Any]: ...  # fmt: skip
async def asubmit(process_class: Any, /, *unnamed: Any, **arguments: Any) -> ProcessHandle[Any]:
    """Submit a process from a coroutine: others go on while it writes. Durable when it has been awaited.

    Cancelled, it may have submitted or not: give a `key`, and ask again with it.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        arguments: Its inputs by name, and whatever else `submit` takes.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    return await asyncio.to_thread(submit, process_class, *unnamed, **arguments)


async def asubmit_many(
    process_class: type[Process] | ProcessFunction[..., Any, Value],
    inputs: Iterable[Mapping[str, Any]],
    /,
    *,
    keys: Sequence[str | None] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    workspace: WorkspaceLike = None,
) -> list[ProcessHandle[Value]]:
    """Submit many processes from a coroutine, all or none: others go on while it writes.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        inputs: The inputs of each process, by name.
        keys: One for each process, or None: at most one process has a given key.
        queue: Which workers run them; `default` if not given.
        priority: 0 to 9 (first); 0 if not given.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Returns:
        Their handles, in the order of `inputs`.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    return await asyncio.to_thread(
        submit_many, process_class, inputs, keys=keys, queue=queue, priority=priority, workspace=workspace
    )


def insert(
    home: Workspace,
    process_class: Any,
    path: str,
    inputs: Sequence[Mapping[str, Any]],
    keys: Sequence[str | None] | None,
    queue: str | None,
    priority: int | None,
) -> tuple[list[NewProcess], Sequence[int]]:
    """Insert processes, with other pids if the store was restored from a backup meanwhile.

    Returns:
        They, and for each the pid of the one that there is, which had its key before.
    """
    cls = class_of(process_class)

    def attempt() -> tuple[list[NewProcess], Sequence[int]]:
        pids = home.store.allocate_pids(len(inputs))
        processes = [
            new_process(cls, values, pid=pid, class_path=path, queue=queue, priority=priority, key=key)
            for values, pid, key in zip(inputs, pids, keys or [None] * len(inputs), strict=True)
        ]
        return processes, home.store.insert(processes).result()

    try:
        return attempt()
    except PidTaken:
        home.store.forget_pids()
        return attempt()


def _path_for_workers(process_class: Any, home: Workspace) -> str:
    cls = class_of(process_class)
    path = home.registry.name_of(cls)
    if path.startswith("__main__:"):
        raise UnknownTarget(
            f"{path.partition(':')[2]} is defined in an interactive session, where no worker can find it; "
            "put it in a file (or use run(), which needs no worker)"
        )
    return path
