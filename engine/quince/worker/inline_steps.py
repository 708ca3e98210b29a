"""Steps that run in the program of their worker: those of `run()`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from quince.concurrency import aside
from quince.hosts.stepper import InlineStepper
from quince.patience import until_store_answers
from quince.processes.definition import class_of
from quince.processes.process import Process
from quince.worker.claimed_process import read_ends
from quince.worker.interfaces import Owner
from quince.worker.lent_slots import LentSlots
from quince.worker.seats import InlineSeat
from quince.workspace.class_loader import ClassLoader, ProcessClass
from quince_persistence.codec import find_classes_by
from quince_persistence.contract import StoreContract
from quince_persistence.records import Claim, Result, SignalRow
from quince_persistence.records.steps import Telling


class InlineSteps:
    """What running processes need, where the worker itself runs them; see `Engine`.

    Args:
        registry: Loads their classes.
        functions: Runs those that are no coroutines.
        checked: Each checkpoint is round-tripped.
    """

    def __init__(
        self, owner: Owner, registry: ClassLoader, lent: LentSlots, functions: Executor, *, checked: bool
    ) -> None:
        self.id = owner.id
        self.troubles = owner.troubles
        self.store: StoreContract = owner.store
        self.checked = checked
        self.on_failure = owner.location.on_failure
        self._seats: dict[int, InlineSeat] = {}
        self._owner = owner
        self._registry = registry
        self._lent = lent
        self._stepper = InlineStepper(functions)
        self._loop = asyncio.get_running_loop()
        self._importing = threading.Lock()
        registry.make_importable()
        find_classes_by(registry)

    def seat(self, claim: Claim) -> InlineSeat:
        """A seat for a process that was claimed."""
        seat = self._seats[claim.row.pid] = InlineSeat(claim, self, self._stepper, self._left)
        return seat

    def _left(self, seat: InlineSeat) -> None:
        if self._seats.get(seat.pid) is seat:
            del self._seats[seat.pid]

    async def load_class(self, path: str) -> type[Process]:
        found = self._registry.known(path)
        if found is None:
            found = await self._stepper.aside(self._import, path)
        cls: type[Process] = class_of(found)
        return cls

    def _import(self, path: str) -> Any:
        with self._importing:
            return self._registry.load_class(path)

    def name_of(self, cls: ProcessClass) -> str:
        return self._registry.name_of(cls)

    def ordered(self, pid: int) -> bool | None:
        return None  # what is said here comes through at once

    def revision(self, path: str) -> str | None:
        return self._registry.revision(path)

    def under_terms(self, pid: int, step: str, seconds: float | None, on_failure: str | None) -> None:
        def set_terms() -> None:
            if (seat := self._seats.get(pid)) is not None:
                seat.on_failure = on_failure
                seat.limit.set(seconds)

        self._owner.call(set_terms)

    def tell(self, telling: Telling) -> None:
        self._owner.call(lambda: self._owner.tellings.put(telling))

    def new_pid(self, *, within: float | None = None) -> int:
        return self.store.allocate_pids(1, within=within)[0]

    async def ends(self, pid: int, pids: Sequence[int]) -> Sequence[Result]:
        return await read_ends(self._owner, pid, pids)

    async def signals(self, pid: int) -> Sequence[SignalRow]:
        return await until_store_answers(self, pid, lambda: aside(self.store.signals, pid))

    def lend_slot(self, pid: int, store: str, awaited: Sequence[int], vague: bool) -> str | None:
        return self._lent.lend_here(self._loop, pid, store, awaited, vague)

    def take_back_slot(self, pid: int) -> None:
        self._owner.call(lambda: self._lent.take_back(pid))

    def excepted(self, pid: int, error: BaseException) -> None:
        self._owner.excepted(pid, error)
