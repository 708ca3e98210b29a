"""What a running step has gathered, until its commit."""

from __future__ import annotations

from quince.processes.child import ChildProcess
from quince_persistence.codec import check_step
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import NewEvent, NewProcess, NewSignal


class StepRecord:
    """What the running step has gathered; committed with it, or forgotten with it."""

    __slots__ = (
        "awaits",
        "cancellable",
        "children",
        "deadline",
        "doomed",
        "due",
        "reports",
        "sends",
        "size",
        "unmet",
    )

    def __init__(self) -> None:
        self.unmet: StoreUnavailable | None = None  # it needed the store at once: it is begun anew
        self.children: list[NewProcess] = []
        self.awaits: list[ChildProcess] = []
        self.reports: list[NewEvent] = []
        self.sends: list[NewSignal] = []
        self.size = 0  # bytes of the inputs of its children, and of what it sends and reports
        self.due: float | None = None
        self.deadline = False  # `due` is that of signals, and no timer of its own
        self.cancellable = False  # the user's coroutine is running: it may be cancelled
        self.doomed = False  # it is to be killed: its coroutine need not begin

    def add(self, size: int, what: str) -> None:
        """Count so many bytes more.

        Raises:
            TooLarge: that is too much for one step.
        """
        check_step(self.size + size, what)
        self.size += size
