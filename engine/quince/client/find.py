"""Finding processes from Python, as `quince ps` does from a shell."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from quince.client.handle import Handles, ProcessHandle, WorkspaceLike, get_process
from quince.client.twins import twin
from quince.messages import LARGEST_PID
from quince.processes.child import ProcessReference, pid_of
from quince.processes.definition import class_of
from quince.processes.fitting import fitted
from quince.processes.functions import ProcessFunction
from quince.processes.process import Process
from quince.workspace.class_names import class_paths
from quince.workspace.workspace import Workspace, resolve
from quince_messaging.limits import check_queue
from quince_persistence.clock import now
from quince_persistence.records import Selection, State


def find(
    *,
    state: State | str | Iterable[State | str] | None = None,
    cls: type[Process] | ProcessFunction[..., Any, Any] | str | None = None,
    parent: ProcessReference | int | str | None = None,
    tree: ProcessReference | int | str | None = None,
    paused: bool | None = None,
    queue: str | None = None,
    labels: Mapping[str, Any] | None = None,
    failed: bool | None = None,
    exit_status: int | Iterable[int] | None = None,
    text: str | None = None,
    since: datetime | timedelta | None = None,
    until: datetime | timedelta | None = None,
    ended_since: datetime | timedelta | None = None,
    before: ProcessReference | int | None = None,
    limit: int | None = None,
    workspace: WorkspaceLike = None,
) -> Handles:
    """The handles of all processes for which everything that is given holds, newest first.

    Args:
        state: A state or several: `"running"`, `["excepted", "killed"]`.
        cls: A process class, a `@process` function, or its name: `"Square"`, `"jobs.py:Square"`,
            `"jobs:Square"`. If no process is of such a class, a warning says so.
        parent: Only the children of this one (a handle, a pid or a key).
        tree: Only this one and all its descendants.
        paused: Only those that are paused, or are not.
        queue: Only those of this queue.
        labels: Only those that have these labels; a value of None is any value.
        failed: Only those that have ended, and not well: excepted, killed, or an exit status other than 0.
        exit_status: One, or several.
        text: It stands in the class, key, step, status or exit message, in whatever case.
        since: Created at or after this time (one without a time zone is local), or so long ago.
        until: Created at or before this time, or so long ago.
        ended_since: Ended at or after this time, or so long ago.
        before: Only pids below this one: for the next page, the last of this one.
        limit: At most so many, the newest.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Raises:
        ValueError: something that is given is nothing of the kind; says what is.
        InvalidDefinition: `cls` is no process class.
        ProcessNotFound: no process has the key that is given as parent or tree.
        PersistenceError: no store.
    """
    states, exits = _states(state), _exits(exit_status)
    if (state is not None and not states) or (exit_status is not None and not exits):
        return Handles()  # an empty list of states, that somebody has made
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ValueError(f"limit is {limit!r}, and must be a whole number from 0 on")
    limit = None if limit is None else min(limit, LARGEST_PID)
    for name, flag in (("paused", paused), ("failed", failed)):
        if flag is not None and type(flag) is not bool:
            raise ValueError(f"{name} is {flag!r}, and must be True or False")
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text is {text!r}, and must be a text")
    if queue is not None:
        check_queue(queue)
    home = resolve(workspace)
    selection = Selection(
        states=states,
        classes=_classes(home, cls),
        parent=None if parent is None else _pid(parent, home),
        trees=() if tree is None else (_pid(tree, home),),
        paused=paused,
        queue=queue,
        labels=label_pairs(labels),
        exits=exits,
        failed=bool(failed),
        text=text,
        since=_moment("since", since),
        until=_moment("until", until),
        ended_since=_moment("ended_since", ended_since),
        before=None if before is None else _pid(before, home),
        limit=limit,
    )
    rows = home.store.select(selection)
    if not rows and isinstance(cls, str):
        _warn_of(home, cls)
    return Handles(ProcessHandle(row.pid, home) for row in rows)


afind = twin(find)


def _warn_of(home: Workspace, cls: str) -> None:
    if not home.store.select(Selection(classes=_classes(home, cls), limit=1)):
        warnings.warn(f"no process is of a class {reprlib.repr(cls)}", stacklevel=3)


def root_selection(
    home: Workspace,
    processes: Iterable[ProcessReference | int | str] | None,
    *,
    state: State | str | Iterable[State | str] | None,
    cls: type[Process] | ProcessFunction[..., Any, Any] | str | None,
    labels: Mapping[str, Any] | None,
    queue: str | None,
) -> Selection | None:
    """Those of which `prune` is asked; None: an empty list of states or processes was given.

    Raises:
        ValueError, InvalidDefinition, ProcessNotFound: as `find`; or one that is named does not exist.
    """
    states = _states(state)
    pids = () if processes is None else tuple(_pid(one, home) for one in processes)
    if (state is not None and not states) or (processes is not None and not pids):
        return None
    there = {row.pid for row in home.store.select(Selection(pids=pids))} if pids else set()
    if missing := set(pids) - there:
        raise home.not_found(*missing)
    return Selection(
        pids=pids, states=states, classes=_classes(home, cls), labels=label_pairs(labels), queue=queue
    )


def _classes(
    home: Workspace, cls: type[Process] | ProcessFunction[..., Any, Any] | str | None
) -> tuple[str, ...]:
    if cls is None:
        return ()
    name = cls if isinstance(cls, str) else home.registry.name_of(class_of(cls))
    return class_paths(name, home.location.folder)


def label_pairs(labels: Mapping[str, Any] | None) -> tuple[tuple[str, str | None], ...]:
    """Labels as a selection has them.

    Raises:
        ValueError: it is no mapping of names.
    """
    given: object = labels
    if labels is None:
        return ()
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in labels):
        raise ValueError(f"labels is {labels!r}, and must be a mapping, as {{'study': 'argon'}}")
    return tuple((name, None if value is None else str(value)) for name, value in labels.items())


def _exits(wanted: int | Iterable[int] | None) -> tuple[int, ...]:
    if wanted is None:
        return ()
    try:
        exits = tuple(fitted(one, int) for one in ([wanted] if isinstance(wanted, int) else wanted))
    except TypeError:
        exits = (None,)
    if not all(type(one) is int for one in exits):
        raise ValueError(f"exit_status is {wanted!r}, and must be a whole number, or several")
    return exits


def _states(wanted: State | str | Iterable[State | str] | None) -> tuple[State, ...]:
    if wanted is None:
        return ()
    names = [wanted] if isinstance(wanted, str) else wanted
    try:
        return tuple(State(name) for name in names)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}: the states are {', '.join(State)}") from None


def _pid(process: ProcessReference | int | str, home: Workspace) -> int:
    if isinstance(process, str):
        return get_process(process, workspace=home).pid
    number = fitted(process, int) if (pid := pid_of(process)) is None else pid
    if type(number) is not int or not 0 <= number <= LARGEST_PID:
        raise ValueError(f"{process!r} is no process: give a handle, a child, a pid or a key")
    return number


def _moment(name: str, when: datetime | timedelta | None) -> float | None:
    if when is None:
        return None
    if isinstance(when, timedelta):
        return now() - when.total_seconds()
    if not isinstance(when, datetime):
        raise ValueError(f"{name} is {when!r}, and must be a datetime or a timedelta")
    return when.timestamp()
