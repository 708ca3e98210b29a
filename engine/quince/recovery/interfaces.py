"""What the sweeps need of the worker that they are part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from quince.workspace.location import Location
from quince_persistence.contract import StoreContract
from quince_persistence.records import Control, NewProcess, ProcessRow, Woken
from quince_persistence.records.controls import ControlOutcome


class Driven(Protocol):
    """A process that the worker drives."""

    pid: int
    epoch: int

    @property
    def suspended(self) -> bool:
        """Its program is stopped, as a pause."""

    def notify(self, verb: Control, *, now: bool = False) -> None:
        """A control was written for it: apply it as soon as may be."""


class StepHosts(Protocol):
    """The programs in which the steps of a worker run. They live no longer than it is known to live."""

    def keep(self, descriptor: int) -> None:
        """Have this file open as long as any of them lives that is made from now on."""

    def alive(self, known: float | None = None) -> None:
        """The worker lives. From any thread; it waits for nothing.

        Args:
            known: At this time (`os_process.since_boot()`), or later, the store knew it.
        """


class Queues(Protocol):
    """Where tasks go."""

    def enqueue(self, processes: Iterable[NewProcess | ProcessRow | Woken]) -> None:
        """Put their tasks on their queues, soon."""

    def enqueue_unowned(self, woken: Iterable[Woken]) -> None:
        """Put the tasks of those on their queues, soon, that no worker owns."""


class WakeUps(Protocol):
    """What happens to processes because of others."""

    def ended(self, killed: Sequence[ControlOutcome]) -> None:
        """These were killed, at once or by an intent that their owner is to be told; others go on by that."""


class SweepOwner(Protocol):
    """The worker whose sweeps they are."""

    id: str
    location: Location
    queues: tuple[str, ...]
    store: StoreContract

    @property
    def outbox(self) -> Queues: ...

    @property
    def wakeups(self) -> WakeUps: ...

    @property
    def runners(self) -> Mapping[int, Driven]: ...
