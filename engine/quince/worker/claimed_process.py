"""One process under one claim: its commits and reads, however long the store is away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from quince.concurrency import aside, landed
from quince.hosts.failures import Fenced, InDoubt, Restored
from quince.messages import change_of
from quince.patience import until_store_answers
from quince.processes import checkpoint
from quince.text import storable
from quince.worker.interfaces import Owner
from quince_persistence.errors import PersistenceError, PidTaken, StoreUnavailable
from quince_persistence.records import (
    TERMINAL,
    Claim,
    Control,
    NewEvent,
    ProcessRow,
    Result,
    Selection,
    State,
)
from quince_persistence.records.steps import Step, StepOutcome

T = TypeVar("T")

SMALL_OUTPUTS = 4096
SMALL_TOGETHER = 4_000_000
"""Bytes of outputs of a child, and of all children of a chain, that are read with how they ended."""


class ClaimedProcess:
    """Commits, releases and reads one process under the claim of its worker.

    Every method tries again until the store answers. Those that write raise `Fenced` if the claim was lost.

    Attributes:
        state: Its state after the last commit.
        put_aside: That has paused and released it, since its step has failed.
        facts: What a log record about this process carries.
    """

    def __init__(self, owner: Owner, claim: Claim) -> None:
        self.pid = claim.row.pid
        self.epoch = claim.row.epoch
        self.state = claim.row.state
        self.put_aside = False
        self.facts: dict[str, object] = {
            "pid": claim.row.pid, "class": claim.row.class_path, "queue": claim.row.queue,
            "worker": owner.id, "epoch": claim.row.epoch,
        }  # fmt: skip
        self._owner = owner
        self._row = claim.row
        self._saved = hash(claim.checkpoint)
        self._step = claim.row.step

    @property
    def label(self) -> str | None:
        """What its row says of the step that runs next, or now."""
        return self._step

    @property
    def place(self) -> str:
        """The step that runs next, or now."""
        return f"step {self._step}" if self._step else "its first step"

    async def read(self, read: Callable[[], T]) -> T:
        """The answer of a blocking call of the store."""
        return await until_store_answers(self._owner, self.pid, lambda: aside(read))

    async def write(self, write: Callable[[], Future[T]]) -> T:
        """The outcome of a write of the store that does no harm if it is done twice."""
        return await until_store_answers(self._owner, self.pid, lambda: landed(write()))

    async def commit(self, step: Step) -> StepOutcome:
        """Commit a step, once; then send what follows from it.

        Raises:
            Fenced: the claim was lost.
            InDoubt: nobody knows whether the step was written.
            PersistenceError: the store refuses this step, and would refuse it again.
        """
        if self._owner.location.keep_checkpoints:
            step = replace(step, keep=True)

        async def attempt() -> StepOutcome:
            try:
                return await landed(self._owner.store.commit(step))
            except StoreUnavailable as error:
                if error.in_doubt:
                    raise InDoubt from error
                raise

        outcome = self._unfenced(await until_store_answers(self._owner, self.pid, attempt))
        before, self.state = self.state, outcome.state or step.state  # killed, if that was accepted first
        self._step, self.put_aside = step.step, step.paused
        if step.checkpoint is not None:
            self._saved = hash(checkpoint.of_step(step))
        if self.state is not before or step.events:
            self._owner.outbox.announce(change_of(self.pid, before, self.state))
        if self.state is step.state:
            for pid in outcome.served:
                self._owner.outbox.announce(change_of(pid, State.CREATED, State.FINISHED))
            ready = [
                child
                for child in step.children
                if not child.options.limits and child.pid not in outcome.served
            ]
            self._owner.outbox.enqueue(ready)  # others are woken when they are granted them
        return outcome

    async def check_history(self, refused: PersistenceError) -> None:
        """A step is refused: is it because the store does not know the steps before it any more?

        Raises:
            Restored: so it is, or its children have pids that were given to others.
        """
        if isinstance(refused, PidTaken):
            self._owner.store.forget_pids()
            raise Restored from refused
        if hash(await self.read(lambda: self._owner.store.checkpoint(self.pid))) != self._saved:
            raise Restored from refused

    async def release(self, *, always: bool = False) -> bool:
        """Release the claim; a pause or kill that was asked for is applied with it.

        Args:
            always: Also if nothing is left to wait for.

        Returns:
            False (never with `always`): nothing is left to wait for, and the worker keeps the claim.
        """
        release = partial(self._owner.store.release, self.pid, self._owner.id, self.epoch, always=always)
        outcome = self._unfenced(await self.write(release))
        if outcome.kept:
            return False
        if outcome.state is not None and (outcome.paused or outcome.state in TERMINAL):
            self._owner.outbox.announce(change_of(self.pid, self.state, outcome.state))
        elif outcome.ready:
            self._owner.outbox.enqueue([outcome.itself or self._row])
        return True

    async def put_on_hold(self, reason: str) -> None:
        """Pause the process as it was after its last commit, and release it; `play` tries again."""
        store, chosen, reason = self._owner.store, Selection(pids=[self.pid]), storable(reason)
        await self.write(lambda: store.control(Control.PAUSE, chosen, author="quince", reason=reason))
        await self.release()

    async def suspend(self) -> bool:
        """Apply a pause in the middle of a step. False: the pause was taken back meanwhile."""
        suspend = partial(self._owner.store.suspend, self.pid, self._owner.id, self.epoch)
        outcome = await self.write(suspend)
        self._owner.wakeups.wake(outcome)
        if outcome.paused:
            self._owner.outbox.announce(change_of(self.pid, self.state, self.state))
        return outcome.paused

    async def is_paused(self) -> bool:
        """Whether it is, or does not exist any more: then its step, if that is stopped, is not to go on."""
        row = await self.read(partial(self._owner.store.get, self.pid))
        return row is None or row.paused

    async def record_death(self, event: NewEvent, *, deaths: int, alone: bool) -> None:
        """See `StoreContract.record_death`."""
        record = partial(
            self._owner.store.record_death,
            self.pid, self._owner.id, self.epoch, event, deaths=deaths, alone=alone,
        )  # fmt: skip
        self._unfenced(await self.write(record))

    async def timer_fired(self) -> None:
        """Count down the timer that the process waited for, or the signals whose deadline it was."""
        wake = partial(self._owner.store.wake, self.pid, self._owner.id, self.epoch)
        woken = await self.write(wake)
        self._owner.outbox.enqueue_unowned(woken)

    async def read_ends(self, pids: Collection[int]) -> Sequence[Result]:
        """How children ended, with outputs that are small, and, with the same read, how the process itself
        stands; nothing without children."""
        if not pids:
            return ()
        return await read_ends(self._owner, self.pid, {*pids, self.pid})

    def still_owns(self, row: ProcessRow) -> bool:
        """Whether the process is still under this claim."""
        return (row.owner, row.epoch) == (self._owner.id, self.epoch)

    def _unfenced(self, outcome: StepOutcome) -> StepOutcome:
        if outcome.fenced:
            raise Fenced
        self._owner.wakeups.wake(outcome)
        return outcome


async def read_ends(owner: Owner, pid: int, pids: Collection[int]) -> Sequence[Result]:
    """How these processes stand, for process `pid`, and their outputs if they are small."""
    small = min(SMALL_OUTPUTS, SMALL_TOGETHER // len(pids))
    read = partial(owner.store.results, list(pids), small=small)
    return await until_store_answers(owner, pid, lambda: aside(read))
