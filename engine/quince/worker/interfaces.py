"""What a runner needs of its worker, and what it is at."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Protocol

from quince.processes.child import ChildProcess
from quince.processes.process import Process
from quince.worker.outbox import Outbox
from quince.worker.slots import Slots
from quince.worker.stepper import Stepper
from quince.workspace.location import Location
from quince_messaging.side_tasks import SideTasks
from quince_persistence.records import ProcessRow, StepOutcome, Woken


class RunnerOwner(Protocol):
    """What a runner needs of its worker."""

    id: str
    store: Any
    stepper: Stepper
    slots: Slots
    outbox: Outbox
    linger: float
    draining: bool
    checked: bool
    troubles: dict[int, str]

    async def load_class(self, path: str) -> type[Process]: ...

    def new_pid(self, *, within: float | None = None) -> int: ...

    def excepted(self, pid: int, error: BaseException) -> None: ...

    def name_of(self, cls: Any) -> str: ...

    async def load_children(self, children: Sequence[ChildProcess], pid: int) -> ProcessRow | None: ...

    def watch(self, runner: Any, pids: Sequence[int]) -> None: ...

    def unwatch(self, runner: Any, pids: Sequence[int]) -> None: ...

    def wake(self, outcome: StepOutcome) -> None: ...


class Phase(enum.Enum):
    """What a runner is at."""

    LOADING = "loading"
    STEPPING = "stepping"
    COMMITTING = "committing"
    LINGERING = "lingering"
    DONE = "done"


class Fenced(Exception):
    """The claim was lost; whatever this runner knows no longer counts."""


class Restored(Exception):
    """The store was put back to a backup under this worker; what this runner knows is of another history."""


class InDoubt(Exception):
    """Whether the last step was committed is not known."""


class Unmet(Exception):
    """A coroutine step needed the store, which was away."""


class ControlOwner(Protocol):
    """What the control server needs of its worker."""

    id: str
    name: str
    location: Location
    side: SideTasks
    store: Any
    outbox: Outbox

    def wake_signalled(self, woken: Sequence[Woken]) -> None:
        """Have those go on that signals have made ready."""
