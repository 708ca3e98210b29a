"""What the sweeps need of the worker that they are part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from quince.workspace.location import Location
from quince_persistence.contract import StoreContract
from quince_persistence.records import Control, NewProcess, ProcessRow, Woken


class Driven(Protocol):
    """A process that the worker drives."""

    pid: int
    epoch: int

    @property
    def suspended(self) -> bool:
        """Its program is stopped, as a pause."""

    def notify(self, verb: Control) -> None:
        """A control was written for it: apply it as soon as may be."""


class Queues(Protocol):
    """Where tasks go."""

    def enqueue(self, processes: Iterable[NewProcess | ProcessRow | Woken]) -> None:
        """Put their tasks on their queues, soon."""

    def enqueue_unowned(self, woken: Iterable[Woken]) -> None:
        """Put the tasks of those on their queues, soon, that no worker owns."""


class SweepOwner(Protocol):
    """The worker whose sweeps they are."""

    id: str
    location: Location
    queues: tuple[str, ...]
    store: StoreContract

    @property
    def outbox(self) -> Queues: ...

    @property
    def runners(self) -> Mapping[int, Driven]: ...
