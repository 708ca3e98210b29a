"""What a store promises of what running a process asks of it; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records import (
    Claim,
    NewEvent,
    Woken,
)
from quince_persistence.records.steps import Recorded, Step, StepOutcome, Telling


class StepContract(Protocol):
    """Processes as they are run: claimed, and written down under that claim as long as it holds."""

    def claim(
        self,
        pids: Sequence[int],
        owner: str,
        *,
        queues: Sequence[str] = (),
        leaving: Collection[int] = (),
    ) -> Future[Sequence[Claim]]:
        """Take processes, by compare-and-swap: those of `pids` that are ready, unowned and not paused become
        the owner's, in state running, with epoch + 1.

        Args:
            queues: Of the owner. What is ready there and has a higher priority is taken in the place of
                some of `pids`, and nothing that is elsewhere. If none are given, it is `pids` and no others.
            leaving: Not to be taken in the place of others.

        Returns:
            The claims that were won, with all that is needed to run the processes. The others are left out.
        """

    def commit(self, step: Step) -> Future[StepOutcome]:
        """Write all that one step changed, in one transaction.

        Fenced (nothing is written) unless owner and epoch match the row. If the state is terminal, every
        process that awaits this one is counted down in the same transaction; those that reach zero become
        ready (`woken`). If it is waiting, what is awaited is counted in the same transaction against what has
        terminated already, so no termination is missed, whoever commits first. A kill that was accepted
        before holds: then a terminal step, of whatever state, ends the process as killed.

        Raises:
            IllegalTransition: the process cannot go to that state.
            UnknownProcess: a process that is awaited, or the parent of a child, does not exist.
            KeyTaken: the key of a child belongs to another process.
            PidTaken: the pid of a child is in use already.
        """

    def release(self, pid: int, owner: str, epoch: int, *, always: bool = False) -> Future[StepOutcome]:
        """Give a claim up without a step (eviction, graceful stop). Fenced unless owner and epoch match the
        row.

        An intent on the row (pause, kill) is applied with it, as `control` would on an unowned process. A
        process without one that is waiting, with nothing left to wait for, is not released (`kept`): its
        owner goes on.

        Args:
            always: Release also that one, for an owner that cannot go on.

        Returns:
            How the row stands then: state, paused, ready.
        """

    def suspend(self, pid: int, owner: str, epoch: int) -> Future[StepOutcome]:
        """Apply a pause in the middle of a step: the process is paused, and still the owner's.

        Fenced unless owner and epoch match the row. Nothing is changed if the pause was taken back (`paused`
        of the outcome tells). A step that is committed later, and a release, leave the process paused.
        """

    def record_death(
        self, pid: int, owner: str, epoch: int, event: NewEvent, *, deaths: int, alone: bool
    ) -> Future[StepOutcome]:
        """Count the death of a step host in which the process was at work, with a line of history. The
        owner keeps the process.

        Fenced unless owner and epoch match the row. Done twice, it counts once.

        Args:
            deaths: `ProcessRow.deaths` with this one.
            alone: Just its own code was running there.
        """

    def record_once(
        self,
        pid: int,
        owner: str,
        epoch: int,
        key: str,
        result: bytes,
        contents: Mapping[str, bytes] = ...,
    ) -> Future[bool]:
        """Record the result of a once-block, in a transaction of its own.

        A second result for the same key changes nothing. Results go when the process finishes well. The
        future is resolved on the writer thread, whatever `on_batch` is: a step blocks for it.

        Args:
            contents: As for `insert`.

        Returns:
            False (nothing is written) unless owner and epoch match the row.
        """

    def recorded(self, pid: int, key: str) -> Recorded | None:
        """What is recorded of a once-block; None if there is no such process."""

    def tell(self, tellings: Sequence[Telling]) -> Future[None]:
        """Write down what steps say while they run, each under its claim; without a claim it is dropped.

        Reports are written once: what is told again, or comes again with the step, is known by its number.
        """

    def wake(self, pid: int, owner: str, epoch: int) -> Future[Sequence[Woken]]:
        """Count a timer down that has fired, or the signals whose deadline it was, as the owner of the
        process.

        Returns:
            The process, if nothing else is awaited; nothing unless owner and epoch match the row.
        """
