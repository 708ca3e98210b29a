"""Finding processes from Python, as `quince ps` does from a shell."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from quince.client.handle import ProcessHandle, WorkspaceLike
from quince.messages import LARGEST_PID
from quince.processes.child import ProcessReference, pid_of
from quince.processes.definition import class_of
from quince.processes.fitting import fitted
from quince.processes.functions import ProcessFunction
from quince.processes.process import Process
from quince.workspace.workspace import Workspace, resolve
from quince_messaging.limits import check_queue
from quince_persistence.records import Selection, State


def find(
    *,
    state: State | str | Iterable[State | str] | None = None,
    cls: type[Process] | ProcessFunction[..., Any, Any] | str | None = None,
    parent: ProcessReference | int | None = None,
    tree: ProcessReference | int | None = None,
    paused: bool | None = None,
    queue: str | None = None,
    since: datetime | timedelta | None = None,
    limit: int | None = None,
    workspace: WorkspaceLike = None,
) -> list[ProcessHandle]:
    """The handles of all processes for which everything that is given holds, newest first.

    Args:
        state: A state or several: `"running"`, `["excepted", "killed"]`.
        cls: A process class, a `@process` function, or a name as `quince ps` shows it.
        parent: Only its children.
        tree: Only it and all its descendants.
        paused: Only those that are paused, or are not.
        queue: Only those of this queue.
        since: Created at or after this time (one without a time zone is local), or so long ago.
        limit: At most so many, the newest.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Raises:
        ValueError: something that is given is nothing of the kind; says what is.
        InvalidDefinition: `cls` is no process class.
        PersistenceError: no store.
    """
    states = _states(state)
    if state is not None and not states:
        return []  # an empty list of states, that somebody has made
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ValueError(f"limit is {limit!r}, and must be a whole number from 0 on")
    if paused is not None and type(paused) is not bool:
        raise ValueError(f"paused is {paused!r}, and must be True or False")
    if queue is not None:
        check_queue(queue)
    home = resolve(workspace)
    selection = Selection(
        states=states,
        classes=() if cls is None else (cls,) if isinstance(cls, str) else _paths(home, class_of(cls)),
        parent=None if parent is None else _pid(parent),
        trees=() if tree is None else (_pid(tree),),
        paused=paused,
        queue=queue,
        since=None if since is None else _moment(since),
        limit=limit,
    )
    return [ProcessHandle(row.pid, home) for row in home.store.select(selection)]


def _states(wanted: State | str | Iterable[State | str] | None) -> tuple[State, ...]:
    if wanted is None:
        return ()
    names = [wanted] if isinstance(wanted, str) else wanted
    try:
        return tuple(State(name) for name in names)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}: the states are {', '.join(State)}") from None


def _paths(home: Workspace, cls: Any) -> tuple[str, str]:
    """How a class is called that was met as a script (`jobs.py:Square`), and as a module (`jobs:Square`)."""
    path = home.registry.name_of(cls)
    location, _, name = path.rpartition(":")
    is_file = location.endswith(".py")
    other = location.removesuffix(".py").replace("/", ".") if is_file else f"{location.replace('.', '/')}.py"
    return path, f"{other}:{name}"


def _pid(process: ProcessReference | int) -> int:
    number = fitted(process, int) if (pid := pid_of(process)) is None else pid
    if type(number) is not int or not 0 <= number <= LARGEST_PID:
        raise ValueError(f"{process!r} is no process: give a handle, a child or a pid")
    return number


def _moment(since: datetime | timedelta) -> float:
    if isinstance(since, timedelta):
        return time.time() - since.total_seconds()
    if not isinstance(since, datetime):
        raise ValueError(f"since is {since!r}, and must be a datetime or a timedelta")
    return since.timestamp()
