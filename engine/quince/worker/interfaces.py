"""What the parts of a worker need of it, and how the driving of a process breaks off."""

from __future__ import annotations

from typing import Protocol

from quince.processes.interfaces import Host
from quince.processes.process import Process
from quince.worker.outbox import Outbox
from quince.worker.slots import Slots
from quince.worker.stepper import Stepper
from quince.worker.wakeups import WakeUps
from quince.workspace.location import Location
from quince_messaging.side_tasks import SideTasks


class Owner(Host, Protocol):
    """The worker, for its parts.

    Attributes:
        name: For people.
        side: What goes on beside the processes.
        linger: Seconds that a waiting process stays in memory.
        draining: No process begins a step any more.
        checked: Each checkpoint is round-tripped.
    """

    name: str
    location: Location
    side: SideTasks
    slots: Slots
    linger: float
    draining: bool
    checked: bool
    stepper: Stepper
    outbox: Outbox
    wakeups: WakeUps

    async def load_class(self, path: str) -> type[Process]:
        """The class of a class path, imported on a thread if it is not there yet."""

    def excepted(self, pid: int, error: BaseException) -> None:
        """A process ends with this exception."""


class Fenced(Exception):
    """The claim was lost; whatever this runner knows no longer counts."""


class Restored(Exception):
    """The store was restored from a backup under this worker; what a runner knows is of another history."""

    def __str__(self) -> str:
        return "the store was restored from a backup"


class InDoubt(Exception):
    """Whether the last step was committed is not known."""

    def __str__(self) -> str:
        return "its last step may be committed or not"


class Unmet(Exception):
    """A coroutine step needed the store, which was away."""

    def __str__(self) -> str:
        return f"its step needed the store ({self.args[0]})"
