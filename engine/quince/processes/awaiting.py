"""What a step says it waits for: `ToContext`, `append_` and the values that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quince.processes.child import ProcessReference
from quince.processes.signals import AwaitedSignal


class Append:
    """Says that a child is appended to a list in the context, instead of being the value."""

    __slots__ = ("child",)

    def __init__(self, child: ProcessReference | AwaitedSignal) -> None:
        self.child = child


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
