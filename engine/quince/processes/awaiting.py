"""What a step says it waits for: `ToContext`, `append_` and the values that they take."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


class ToContext(dict[str, Awaited]):
    """What a step returns to wait: `return ToContext(name=child)` is `self.to_context(name=child)`.

    The next step runs when all that is named has come, and finds it in `self.ctx.name`.

    Raises:
        TypeError: something is awaited and has no name.
    """

    def __init__(self, awaited: Mapping[str, Awaited] | None = None, /, **named: Awaited) -> None:
        if awaited is not None and not isinstance(awaited, Mapping):
            raise TypeError("ToContext(...) wants a name for what is awaited: ToContext(name=child)")
        super().__init__(awaited or {}, **named)


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
