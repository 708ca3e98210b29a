"""What a store promises: the contract of `quince_persistence`. Its parts are the modules of this folder.

**Writes** return a `concurrent.futures.Future`. A call is handed to the writer thread and shares a
transaction with whatever else waits there; its future resolves when that transaction has committed (then the
write is durable), or failed (then nothing of the call was written). What has not begun can be cancelled by
its future. Every write may answer with these errors, besides those that it names:

- `StoreUnavailable`: the database is away for longer than the store's patience, locked (`StoreBusy`), full
  (`StoreFull`) or moved (`StoreMoved`). With `in_doubt` the call may have been committed all the same.
- `RecordRefused`: the database does not accept these values.

**Reads** are blocking calls, safe from any thread; each sees what is committed when it starts. They raise
`StoreUnavailable` after a few seconds without an answer.

Large parts of values (`codec.folding`) are kept once, whoever has them, as long as somebody has; reads give
whole values, or, in place of one that is not whole, bytes that `decode` refuses with a sentence about that.

Both raise `StoreClosed` at once before `open` and after `close`. Times are seconds since the epoch by the
clock of the store (`clock`); durations are seconds; blobs are bytes made by `quince_persistence.codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.contract.limits import LimitContract
from quince_persistence.contract.notices import NoticeContract
from quince_persistence.contract.reads import ReadContract
from quince_persistence.contract.schedules import ScheduleContract
from quince_persistence.contract.steps import StepContract
from quince_persistence.contract.upkeep import UpkeepContract
from quince_persistence.contract.workers import WorkerContract
from quince_persistence.records import (
    Control,
    NewEvent,
    NewProcess,
    NewSignal,
    Selection,
)
from quince_persistence.records.controls import ControlOutcome, Restarted


class StoreContract(
    StepContract,
    ReadContract,
    LimitContract,
    WorkerContract,
    UpkeepContract,
    ScheduleContract,
    NoticeContract,
    Protocol,
):
    """A store of processes on one SQLAlchemy URL (SQLite or PostgreSQL). Its constructor does no I/O."""

    on_batch: Callable[[Callable[[], None]], object] | None
    """If set, called once for each commit, on the writer thread, with a function that resolves all futures of
    that commit. An event loop sets it to `loop.call_soon_threadsafe`: then a commit costs one hop between
    threads, not one for each waiter."""

    @property
    def url(self) -> str:
        """The URL, without its password."""

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this store among all; a copy of its file has the same ones. The
        store must have been opened once."""

    def change_identity(self) -> str:
        """Get a new identity, as a copied file needs that is used beside the original. For when no worker
        runs.

        Returns:
            The new identity.
        """

    def open(self) -> None:
        """Check the schema, create it if the database is empty, start the writer thread.

        A store that was closed can be opened again; opening one that is open does nothing.

        Raises:
            InvalidUrl, MissingDriver, StoreUnavailable, NotAStore: the database cannot be used.
            SchemaOutdated, SchemaTooNew: it can, but not by this version of Quince.
        """

    def close(self) -> None:
        """Commit what was handed in, end the writer thread, close the connections. May be called twice.

        A database that is away is not waited for: what was handed in then fails.
        """

    def __enter__(self) -> StoreContract: ...

    def __exit__(self, *exc: object) -> None: ...

    def allocate_pids(self, count: int, *, within: float | None = None) -> Sequence[int]:
        """So many fresh pids, ascending.

        They come from a private block of the store; the call blocks only when that is used up. Pids of a
        block that are left when the program ends are never used.

        Args:
            within: Seconds to block at most; the store's patience if not given.

        Raises:
            StoreUnavailable: the database does not answer in that time.
        """

    def forget_pids(self) -> None:
        """Drop the private block of pids, after `PidTaken`: the next ones come from the database."""

    def insert(
        self, processes: Sequence[NewProcess], *, contents: Mapping[str, bytes] = ...
    ) -> Future[Sequence[int]]:
        """Insert processes: created, and ready unless they are paused.

        Args:
            contents: Large parts of their inputs, by digest, if these were folded (`codec.fold`). A part that
                the store has already need not be given.

        Returns:
            Their pids, in order. For a process whose key is taken nothing is inserted: its pid is the one
            that has the key.

        Raises:
            PidTaken: a pid is in use already.
            UnknownProcess: a parent does not exist.
        """

    def report(self, pid: int, events: Sequence[NewEvent]) -> Future[None]:
        """Append lines to the history of a process, outside a step.

        Raises:
            UnknownProcess: there is no such process.
        """

    def control(
        self,
        verb: Control,
        selection: Selection,
        *,
        author: str,
        reason: str | None = None,
        force: bool = False,
        now: bool = False,
    ) -> Future[Sequence[ControlOutcome]]:
        """Pause, play or kill every selected process, in one transaction, each with a line of history.

        A process that nobody owns, or that waits for what has not come, is changed here; its owner, which
        reads before it goes on whether it still has it, is to be told by the caller. For any other one the
        intent is written; the owner is to be told by the caller, and applies it with `commit`. The last
        intent wins: play clears a pause that has not been applied. Kill takes all descendants along, selected
        or not, and wins over pause.

        Args:
            force: (kill) End an owned process here, and fence its owner.
            now: (pause) An owner is to apply it in the midst of the step.

        Returns:
            One outcome for each process, by pid. Terminated ones are refused when they are selected by pid,
            and passed over otherwise.
        """

    def retry(
        self,
        selection: Selection,
        *,
        author: str,
        reason: str | None = None,
        inputs: bytes | None = None,
    ) -> Future[Sequence[ControlOutcome]]:
        """Have those of the selected processes that have ended, and not well, go on from the step in which
        they ended, in one transaction, each with a line of history that keeps how it had ended.

        Those whose end such a process has waited for are retried too, if they have not ended well, and so on
        downwards; it waits for them before its step runs again. So are the children that were killed with
        it. What has ended well is not run again. What was paused since its step had failed goes on, too. A
        parent that lives, and whose newest checkpoint waits for one of these, waits for it again. What was on
        the own queue of a worker that is gone (`OWN_QUEUE`) belongs to `default`.

        Args:
            inputs: New inputs, if one process is selected by pid.

        Returns:
            One outcome for each process that was retried, and for each that was selected by pid and is
            refused: it has not ended, it has ended well, or it does not exist.
        """

    def restart(
        self,
        pid: int,
        *,
        author: str,
        reason: str | None = None,
        number: int | None = None,
        inputs: bytes | None = None,
    ) -> Future[Restarted]:
        """Make a new process of the same class, that begins from a checkpoint of this one, whatever has
        become of it, with labels, limits, queue and priority like it; in one transaction.

        What the checkpoint waits for is shared, if it has ended well or lives. For each that has ended, and
        not well, a new one is made in the same way, from its newest checkpoint, as a child of the new
        process, which finds it in the place of the other (`Claim.replaced`). Signals that are not used yet
        are copied, if it begins from the newest.

        Args:
            number: Of the checkpoint (`past_steps`); 0: from the beginning; None: from the newest.
            inputs: Those of the new process, if they are others.

        Raises:
            UnknownProcess: there is no such process.
            RecordRefused: it has no such checkpoint, or none any more.
        """

    def place(
        self,
        selection: Selection,
        *,
        author: str,
        queue: str | None = None,
        priority: int | None = None,
    ) -> Future[Sequence[ControlOutcome]]:
        """Put every selected process on another queue, or give it another priority, in one transaction, each
        with a line of history. One that is in a step has it from its next claim on; children that are born
        later have it from their parent. What is on the own queue of a worker (`OWN_QUEUE`) stays there.

        Returns:
            One outcome for each process, by pid, as `control` gives them; `woken` are those whose task is to
            be sent anew, as workers pass over the one that was sent.
        """

    def send(self, signals: Sequence[NewSignal], *, author: str) -> Future[Sequence[ControlOutcome]]:
        """Store signals for their processes, in one transaction, each with a line of history.

        A signal stays until a step has used it (`Step.used`) or the process terminates. One that the process
        waits for is counted down.

        Returns:
            One outcome for each signal, in order; refused for a process that has terminated or does not
            exist.
        """
