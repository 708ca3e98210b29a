"""What a step says it waits for: `ToContext`, `any_`, `all_`, `append_` and the values that they take."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, SupportsFloat

from quince.moments import Duration
from quince.processes.bases import process_class_in
from quince.processes.child import ChildProcess, ProcessReference, as_child
from quince.processes.signals import AwaitedSignal


@dataclass(frozen=True, slots=True)
class Append:
    """Says that a child is appended to a list in the context, instead of being the value."""

    child: ProcessReference | AwaitedSignal


Awaited = (
    ProcessReference | AwaitedSignal | Append | Sequence[ProcessReference] | Mapping[str, ProcessReference]
)
"""What can be waited for: a child or a handle, a signal, either of them in `append_`, or children in a list
or a dict."""


class ToContext(dict[str, Any]):
    """What a step returns to wait: `return ToContext(name=child)` is `self.to_context(name=child)`.

    The next step runs when all that is named has come, and finds it in `self.ctx.name`; or, with `timeout`,
    when that is over.

    Raises:
        TypeError: something is awaited and has no name.
    """

    first_is_enough = False

    def __init__(
        self,
        awaited: Mapping[str, Awaited] | None = None,
        /,
        timeout: Duration | Awaited | None = None,
        **named: Awaited,
    ) -> None:
        if awaited is not None and not isinstance(awaited, Mapping):
            raise TypeError("ToContext(...) wants a name for what is awaited: ToContext(name=child)")
        super().__init__(with_timeout({**(awaited or {}), **named}, timeout))


class _AnyOf(ToContext):
    """Waits for the first of what is named."""

    first_is_enough = True


def any_(*, timeout: Duration | Awaited | None = None, **named: Awaited) -> ToContext:
    """What a step returns to wait for the first of several: `return any_(a=child, b=signal_("stop"))`.

    The next step finds in `self.ctx.a` the child, whose `terminated` says whether it has ended; a signal that
    has not come is None there. Children that are not waited for any more live on: `self.kill(child)`.

    Args:
        timeout, named: As in `self.to_context`.
    """
    return _AnyOf(named, timeout)


def all_(*, timeout: Duration | Awaited | None = None, **named: Awaited) -> ToContext:
    """What a step returns to wait for all of several: `return all_(a=child, b=other, timeout="1 h")`.

    Args:
        timeout, named: As in `self.to_context`.
    """
    return ToContext(named, timeout)


def with_timeout(named: Mapping[str, Any], timeout: object) -> dict[str, Any]:
    """What `without_timeout` takes apart again."""
    return dict(named) if timeout is None else {**named, "timeout": timeout}


def without_timeout(named: Mapping[str, Any]) -> tuple[dict[str, Any], object]:
    """What is waited for, and how long at most (None: for ever).

    `timeout` is a name like others if a process or a signal is given for it.
    """
    waits, timeout = dict(named), named.get("timeout")
    if timeout is None or isinstance(timeout, (str, timedelta, SupportsFloat)):
        waits.pop("timeout", None)
        return waits, timeout
    return waits, None


def append_(child: ProcessReference | AwaitedSignal) -> Append:
    """Append to a list in the context: after `ToContext(parts=append_(child))`, `ctx.parts` has one more.

    Args:
        child: What `self.submit` returned, a handle, or `signal_("name")`.
    """
    return Append(child)


def awaited(value: Any, name: str) -> Any:
    """A process as the context holds it; or a list or dict of them.

    Raises:
        TypeError: it is nothing that can be waited for; says what to write instead.
    """
    if isinstance(value, dict):
        return {key: _one(inner, name) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_one(inner, name) for inner in value]
    return _one(value, name)


def processes_in(found: Any) -> list[ChildProcess]:
    """The processes in what `awaited` returned."""
    if isinstance(found, ChildProcess):
        return [found]
    return list(found.values() if isinstance(found, dict) else found)


def _one(value: Any, name: str) -> ChildProcess:
    if isinstance(value, ProcessReference):
        return as_child(value)
    instead = f"write self.ctx.{name} = ... to keep a value"
    if isinstance(value, int):
        instead = (
            f"write get_process({value}) for the process of that pid, or self.ctx.{name} = ... for a number"
        )
    elif isinstance(value, (AwaitedSignal, Append)):
        instead = "signals, and what is appended, stand by themselves: name=signal_(...), name=append_(...)"
    elif process_class_in(value) is not None:
        instead = f"write {name}=self.submit({value.__name__}, ...)"
    raise TypeError(
        f"to_context({name}=...) waits for what self.submit() returned, handles and signal_(), and not for "
        f"{reprlib.repr(value)} ({type(value).__name__}): {instead}"
    )
