"""Named limits: how many processes may hold one at once, and how many may begin in a time."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from quince.client.handle import WorkspaceLike
from quince.client.notify import enqueue
from quince.client.twins import twin
from quince.errors import InvalidInput
from quince.processes.fitting import fitted
from quince.processes.limits import MOST_SLOTS, checked_limit, rate_of
from quince.workspace.workspace import resolve
from quince_persistence.records.limits import LimitRow


def set_limit(
    name: str, slots: int | None = None, *, rate: str | None = None, workspace: WorkspaceLike = None
) -> None:
    """Set a limit, from now on and for all hosts. Those who hold it keep it, and count.

    Durable on return. Set again, it is as said last; raised, it is given at once to who waits for it.

    Args:
        name: What processes ask for by `limits=[...]`.
        slots: How many processes may hold it at once; None for any number.
        rate: How many may begin in a time, evenly: `30/min`, `2/s`, `100/1 h`.
        workspace: A `Workspace`, its folder, or None for the one that is found from here.

    Raises:
        InvalidInput: it is none of these.
        PersistenceError: no store.
    """
    name = _checked(name)
    try:
        count, per = (None, 1.0) if rate is None else rate_of(rate)
    except ValueError as error:
        raise InvalidInput(str(error)) from None
    slots = fitted(slots, int)
    if slots is not None and not (type(slots) is int and 0 <= slots <= MOST_SLOTS):
        raise InvalidInput(f"limit {name}: slots is a number from 0 on, and not {reprlib.repr(slots)}")
    if slots is None and rate is None:
        raise InvalidInput(f"limit {name}: say how many may hold it at once, or a rate such as 30/min")
    home = resolve(workspace)
    enqueue(home, home.store.set_limit(name, slots=slots, rate=count, per=per).result())


def remove_limit(name: str, *, workspace: WorkspaceLike = None) -> bool:
    """Have no such limit any more: all who wait for it go on. Durable on return.

    Returns:
        Whether there was one.

    Raises:
        InvalidInput: no limit can have this name.
    """
    name, home = _checked(name), resolve(workspace)
    woken = home.store.remove_limit(name).result()
    enqueue(home, woken or ())
    return woken is not None


def limits(*, workspace: WorkspaceLike = None) -> Sequence[LimitRow]:
    """All limits that are set, or asked for by processes that live, by name."""
    return resolve(workspace).store.limits()


def _checked(name: object) -> str:
    try:
        return checked_limit(name)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


aset_limit, aremove_limit, alimits = twin(set_limit), twin(remove_limit), twin(limits)
