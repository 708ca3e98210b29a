"""What the parts of a worker need of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from quince.patience import Troubled
from quince.worker.outbox import Outbox
from quince.worker.seats import Seat
from quince.worker.slots import Slots
from quince.worker.wakeups import WakeUps
from quince.workspace.location import Location
from quince_messaging.side_tasks import SideTasks
from quince_persistence.contract import StoreContract
from quince_persistence.records import Claim
from quince_persistence.records.steps import Step, Telling


class Lending(Protocol):
    """Slots of processes whose steps wait, inside, for other processes."""

    async def lend(
        self,
        pid: int,
        store: str,
        awaited: Sequence[int],
        *,
        cheap: bool,
        blocked: Collection[int] = (),
        vague: bool = False,
    ) -> str | None:
        """The step of `pid` waits for these; asked again now and then while it does.

        Args:
            store: Identity of the store in which they are.
            cheap: It has no step host to itself.
            blocked: Processes that cannot go on as long as it waits.
            vague: It or another one waits: nothing follows from that for who waits for whom.

        Returns:
            Why it must not wait, or None: then its slot is lent.

        Raises:
            StoreUnavailable: that cannot be known now.
        """

    def take_back(self, pid: int) -> None:
        """It goes on, or has ended. May be called twice, and if it has not waited."""


class Listener(Protocol):
    """Takes what steps say while they run."""

    def put(self, telling: Telling) -> None:
        """A step has said something."""

    def commits(self, step: Step) -> None:
        """A step is about to be committed, with all that it has said."""

    def flush(self) -> None:
        """Write what there is: before whatever is written from now on."""


class Owner(Troubled, Protocol):
    """The worker, for its parts.

    Attributes:
        name: For people.
        queues: Those that it consumes; none for the worker of a `run()`.
        lent: The slots of those whose steps wait inside.
        side: What goes on beside the processes.
        linger: Seconds that a waiting process stays in memory.
        draining: No process begins a step any more.
    """

    name: str
    location: Location
    side: SideTasks
    slots: Slots
    linger: float
    draining: bool
    outbox: Outbox
    wakeups: WakeUps

    @property
    def id(self) -> str: ...

    @property
    def store(self) -> StoreContract: ...

    @property
    def queues(self) -> Sequence[str]: ...

    @property
    def tellings(self) -> Listener: ...

    @property
    def lent(self) -> Lending: ...

    def seat(self, claim: Claim) -> Seat:
        """A place for a claimed process, where its steps run."""

    def call(self, function: Callable[[], object]) -> None:
        """Call it on the worker's loop, from any thread; one that has ended does nothing any more."""

    def fail(self, reason: str) -> None:
        """End now, since nothing can be run here any more."""

    def decline(self, pid: int) -> None:
        """Take it for a while only if it comes again and again: others may be able to load it."""

    def excepted(self, pid: int, error: BaseException) -> None:
        """A process ends with this exception."""
