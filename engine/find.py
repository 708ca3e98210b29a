"""Finding processes from Python, as `quince ps` does from a shell."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from engine.handle import ProcessHandle, WorkspaceLike
from engine.workspace import resolve
from persistence.records import Selection, State


def find(
    *,
    state: State | str | Iterable[State | str] | None = None,
    cls: Any = None,
    parent: ProcessHandle | int | None = None,
    tree: ProcessHandle | int | None = None,
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
        workspace: As for `submit`.

    Raises:
        ValueError: there is no such state; says which there are.
        PersistenceError: no store.
    """
    home = resolve(workspace)
    selection = Selection(
        states=_states(state),
        classes=() if cls is None else (cls if isinstance(cls, str) else home.registry.name_of(_class(cls)),),
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
    except ValueError as error:
        raise ValueError(f"{error}: the states are {', '.join(State)}") from None


def _class(cls: Any) -> Any:
    return getattr(cls, "process_class", cls)


def _pid(process: ProcessHandle | int) -> int:
    return process.pid if isinstance(process, ProcessHandle) else process


def _moment(since: datetime | timedelta) -> float:
    return time.time() - since.total_seconds() if isinstance(since, timedelta) else since.timestamp()
