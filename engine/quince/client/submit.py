"""Submitting processes to the daemon, and running them here and now."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from msgspec.structs import replace

from quince.client.ends import trace_ends
from quince.client.handle import Handles, ProcessHandle, WorkspaceLike
from quince.client.notify import enqueue
from quince.errors import UnknownTarget
from quince.moments import Deadline
from quince.processes.caching import Origin
from quince.processes.creation import each_given, gathered, new_process, refuse_unnamed
from quince.processes.definition import class_of
from quince.processes.functions import P, ProcessFunction, Value
from quince.processes.options import Wishes
from quince.processes.process import Process
from quince.processes.spans import current_span, span_of_child
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace, resolve
from quince_persistence.codec import fold
from quince_persistence.errors import PidTaken
from quince_persistence.records import NewProcess, Selection, Woken


@overload
def submit(
    function: ProcessFunction[P, Any, Value], /, *args: P.args, **inputs: P.kwargs
) -> ProcessHandle[Value]: ...
@overload
def submit(
    function: ProcessFunction[..., Any, Value], /, *, inputs: Mapping[str, Any] | None,
    key: str | None = None, queue: str | None = None, priority: int | None = None,
    labels: Mapping[str, Any] | None = None, limits: Sequence[str] | None = None,
    on_failure: str | None = None, deadline: Deadline | None = None, cache: bool | None = None,
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
    queue: str | None = None, priority: int | None = None, labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
    cache: bool | None = None, workspace: WorkspaceLike = None, **named: Any,
) -> ProcessHandle[Any]: ...  # fmt: skip
def submit(  # type: ignore[misc]  # a function may have a parameter called `key`, of another type
    process_class: Any,
    /,
    *unnamed: Any,
    inputs: Mapping[str, Any] | None = None,
    key: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None,
    on_failure: str | None = None,
    deadline: Deadline | None = None,
    cache: bool | None = None,
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
        labels: By which it is found; children have those of their parent.
        limits: Names of limits that it holds while it is at work.
        on_failure: `fail` or `pause`; as the class says if not given.
        deadline: When it must have ended, with its tree (`"2 h"`, or a `datetime`); then it is killed.
        cache: Whether the outputs of one that ended well with the same inputs may be taken for its own.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.
        named: Its inputs, or more of them.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    refuse_unnamed("submit", process_class, unnamed)
    wishes = Wishes(key, queue, priority, labels, limits, on_failure, deadline, cache)
    given = gathered(process_class, inputs, named, wishes, workspace=workspace)
    return submit_each(process_class, [given], [wishes], workspace)[0]


def submit_many(
    process_class: type[Process] | ProcessFunction[..., Any, Value],
    inputs: Iterable[Mapping[str, Any]],
    /,
    *,
    keys: Sequence[str | None] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None,
    on_failure: str | None = None,
    deadline: Deadline | None = None,
    cache: bool | None = None,
    workspace: WorkspaceLike = None,
) -> Handles[Value]:
    """Submit one process for each mapping of inputs, in one transaction: all or none. Durable on return.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        inputs: The inputs of each process, by name.
        keys: One for each process, or None: at most one process has a given key.
        queue: Which workers run them; `default` if not given.
        priority: 0 to 9 (first); 0 if not given.
        labels: By which they are found; children have those of their parent.
        limits: Names of limits that each holds while it is at work.
        on_failure: `fail` or `pause`; as the class says if not given.
        deadline: When each must have ended, with its tree (`"2 h"`, or a `datetime`); else it is killed.
        cache: Whether the outputs of one that ended well with the same inputs may be taken for its own.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Returns:
        Their handles, in the order of `inputs`.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    given = each_given("submit_many()", inputs, keys)
    wishes = [
        Wishes(key, queue, priority, labels, limits, on_failure, deadline, cache)
        for key in keys or [None] * len(given)
    ]
    return submit_each(process_class, given, wishes, workspace)


def submit_each(
    process_class: type[Process] | ProcessFunction[..., Any, Value],
    given: Sequence[Mapping[str, Any]],
    wishes: Sequence[Wishes],
    workspace: WorkspaceLike,
) -> Handles[Value]:
    """Submit one process for each mapping of inputs, with what is wished for it; as `submit_many` does."""
    home = resolve(workspace)
    home.location.require_shared()
    path = path_for_workers(process_class, home)
    _ = home.communicator  # a broker that cannot be reached is an error before anything is written
    processes, pids = insert(home, process_class, path, given, wishes)
    served = _served(home, processes)
    trace_ends(home, sorted(served))
    new = [one for one, pid in zip(processes, pids, strict=True) if one.pid == pid and one.pid not in served]
    limited = [one.pid for one in new if one.options.limits]
    ready = [Woken(one.pid, None, one.queue, one.priority) for one in new if not one.options.limits]
    enqueue(home, [*ready, *(home.store.ready(limited) if limited else ())])
    return Handles(ProcessHandle(pid, home) for pid in pids)


def _served(home: Workspace, processes: Sequence[NewProcess]) -> set[int]:
    """Those that have ended at once, with outputs from the cache."""
    asked = [one.pid for one in processes if one.options.cache_key is not None]
    found = home.store.select(Selection(pids=asked)) if asked else ()
    return {row.pid for row in found if row.terminated}


@overload
async def asubmit(
    function: ProcessFunction[P, Any, Value], /, *args: P.args, **inputs: P.kwargs
) -> ProcessHandle[Value]: ...
@overload
async def asubmit(
    function: ProcessFunction[..., Any, Value], /, *, inputs: Mapping[str, Any] | None,
    key: str | None = None, queue: str | None = None, priority: int | None = None,
    labels: Mapping[str, Any] | None = None, limits: Sequence[str] | None = None,
    on_failure: str | None = None, deadline: Deadline | None = None, cache: bool | None = None,
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
    queue: str | None = None, priority: int | None = None, labels: Mapping[str, Any] | None = None,
    limits: Sequence[str] | None = None, on_failure: str | None = None, deadline: Deadline | None = None,
    cache: bool | None = None, workspace: WorkspaceLike = None, **named: Any,
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
    **arguments: Any,
) -> Handles[Value]:
    """Submit many processes from a coroutine, all or none: others go on while it writes.

    Args:
        process_class: A process class or a `@process` function, at the top level of a module.
        inputs: The inputs of each process, by name.
        arguments: Whatever else `submit_many` takes.

    Returns:
        Their handles, in the order of `inputs`.

    Raises:
        InvalidInput, Unsaveable, InvalidDefinition, UnknownTarget: nothing was written.
        PersistenceError, MessagingError: no store, no broker; nothing was written.
    """
    return await asyncio.to_thread(lambda: submit_many(process_class, inputs, **arguments))


def insert(
    home: Workspace,
    process_class: Any,
    path: str,
    inputs: Sequence[Mapping[str, Any]],
    wishes: Sequence[Wishes],
) -> tuple[list[NewProcess], Sequence[int]]:
    """Insert processes, with other pids if the store was restored from a backup meanwhile.

    Returns:
        They, and for each the pid of the one that there is, which had its key before.
    """
    cls = class_of(process_class)

    @functools.cache
    def revision(path: str) -> str | None:  # as the files are now, whenever this program has read them
        return revision_of(path, home.location.folder)

    span = None if home.location.traces is None else current_span() or span_of_child()

    def attempt() -> tuple[list[NewProcess], Sequence[int]]:
        pids = home.store.allocate_pids(len(inputs))
        contents: dict[str, bytes] = {}
        processes = []
        for values, pid, wish in zip(inputs, pids, wishes, strict=True):
            new = new_process(
                cls, values, pid=pid, class_path=path, wishes=wish, revision=revision, origin=origin_in(home),
                span=span,
            )  # fmt: skip
            small = fold(new.inputs, contents)
            processes.append(new if small is new.inputs else replace(new, inputs=small))
        return processes, home.store.insert(processes, contents=contents).result()

    try:
        return attempt()
    except PidTaken:
        home.store.forget_pids()
        return attempt()


def origin_in(home: Workspace) -> Origin:
    """Which process of a workspace has computed the outputs of another one."""

    def origin(pid: int) -> int:
        row = home.store.get(pid)
        return pid if row is None else row.options.cached_from or pid

    return origin


def path_for_workers(process_class: Any, home: Workspace) -> str:
    """By which workers find a class.

    Raises:
        UnknownTarget: they cannot.
    """
    cls = class_of(process_class)
    path = home.registry.name_of(cls)
    if path.startswith("__main__:"):
        raise UnknownTarget(
            f"{path.partition(':')[2]} is defined in an interactive session, where no worker can find it; "
            "put it in a file (or use run(), which needs no worker)"
        )
    return path
