"""What a store promises: the contract of `quince_persistence`.

**Writes** return a `concurrent.futures.Future`. A call is handed to the writer thread and shares a
transaction with whatever else waits there; its future resolves when that transaction has committed (then the
write is durable), or failed (then nothing of the call was written). What has not begun can be cancelled by
its future. Every write may answer with these errors, besides those that it names:

- `StoreUnavailable`: the database is away for longer than the store's patience, locked (`StoreBusy`), full
  (`StoreFull`) or moved (`StoreMoved`). With `in_doubt` the call may have been committed all the same.
- `RecordRefused`: the database does not accept these values.

**Reads** are blocking calls, safe from any thread; each sees what is committed when it starts. They raise
`StoreUnavailable` after a few seconds without an answer.

Both raise `StoreClosed` at once before `open` and after `close`. Times are seconds since the epoch by the
clock of the store (`clock`); durations are seconds; blobs are bytes made by `quince_persistence.codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records import (
    MAX_DEATHS,
    Claim,
    Control,
    ControlOutcome,
    EventRow,
    NewEvent,
    NewProcess,
    NewSignal,
    ProcessRow,
    Recorded,
    Result,
    Selection,
    SignalRow,
    State,
    Step,
    StepOutcome,
    Sweep,
    Woken,
    WorkerRow,
)


class StoreContract(Protocol):
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

    # Writes

    def allocate_pids(self, count: int, *, within: float | None = None) -> Sequence[int]:
        """So many fresh pids, ascending.

        They come from a private block of the store; the call blocks only when that is used up. Pids of a
        block that are left when the program ends are never used.

        Args:
            within: Seconds to block at most; the store's patience if not given.

        Raises:
            StoreUnavailable: the database does not answer in that time.
        """

    def try_write(self, *, within: float) -> None:
        """Make a write that changes nothing, to see whether the database takes any. Blocks.

        Raises:
            StoreUnavailable: it takes none, or does not answer within so many seconds.
        """

    def forget_pids(self) -> None:
        """Drop the private block of pids, after `PidTaken`: the next ones come from the database."""

    def insert(self, processes: Sequence[NewProcess]) -> Future[Sequence[int]]:
        """Insert processes: created, and ready unless they are paused.

        Returns:
            Their pids, in order. For a process whose key is taken nothing is inserted: its pid is the one
            that has the key.

        Raises:
            PidTaken: a pid is in use already.
            UnknownProcess: a parent does not exist.
        """

    def claim(self, pids: Sequence[int], owner: str) -> Future[Sequence[Claim]]:
        """Take processes, by compare-and-swap: those of `pids` that are ready, unowned and not paused become
        the owner's, in state running, with epoch + 1.

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

    def record_once(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> Future[bool]:
        """Record the result of a once-block, in a transaction of its own.

        A second result for the same key changes nothing. Results are dropped when the process terminates. The
        future is resolved on the writer thread, whatever `on_batch` is: a step blocks for it.

        Returns:
            False (nothing is written) unless owner and epoch match the row.
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
    ) -> Future[Sequence[ControlOutcome]]:
        """Pause, play or kill every selected process, in one transaction, each with a line of history.

        A process that nobody owns, or that waits for what has not come, is changed here; its owner, which
        reads before it goes on whether it still has it, is to be told by the caller. For any other one the
        intent is written; the owner is to be told by the caller, and applies it with `commit`. The last
        intent wins: play clears a pause that has not been applied. Kill takes all descendants along, selected
        or not, and wins over pause.

        Args:
            force: (kill) End an owned process here, and fence its owner.

        Returns:
            One outcome for each process, by pid. Terminated ones are refused when they are selected by pid,
            and passed over otherwise.
        """

    def send(self, signals: Sequence[NewSignal], *, author: str) -> Future[Sequence[ControlOutcome]]:
        """Store signals for their processes, in one transaction, each with a line of history.

        A signal stays until a step has used it (`Step.used`) or the process terminates. One that the process
        waits for is counted down.

        Returns:
            One outcome for each signal, in order; refused for a process that has terminated or does not
            exist.
        """

    def wake(self, pid: int, owner: str, epoch: int) -> Future[Sequence[Woken]]:
        """Count a timer down that has fired, or the signals whose deadline it was, as the owner of the
        process.

        Returns:
            The process, if nothing else is awaited; nothing unless owner and epoch match the row.
        """

    def copy_to(
        self, url: str, *, alive: float, author: str, pause: bool = True
    ) -> Future[Mapping[str, int]]:
        """Copy everything into another store, whole or not at all: processes in every state with their
        inputs, checkpoints, outputs, timers, signals and history, under their pids.

        Args:
            url: An empty database, or a store without processes.
            alive: Seconds within which a worker's last heartbeat says that it lives.
            author: Who asks, for the history.
            pause: Pause here what has not terminated, since it goes on there.

        Returns:
            How many rows of each table were copied.

        Raises:
            InvalidUrl: that is not a URL of a store.
            CopyRefused: (also by the future) it is this store, workers are at work here, or processes are
                there.
        """

    # Workers

    def register_worker(self, worker: WorkerRow) -> Future[None]:
        """Insert the row of a worker, with a heartbeat of now; a row of the same id is replaced."""

    def heartbeat(
        self, worker_id: str, *, state: str | None = None, troubles: Sequence[str] = ()
    ) -> Future[None]:
        """Note that a worker lives now. It goes over a thread and a connection of its own, past all other
        writes.

        Args:
            state: The worker's state from now on; unchanged if not given.
            troubles: What the worker finds wrong with itself just now, each in one sentence.

        Raises:
            UnknownWorker: the worker has no row: it was declared dead, or never registered.
        """

    def release_worker(
        self,
        worker_id: str,
        *,
        queues: tuple[str, str] | None = None,
        died: bool = True,
        proven: bool = True,
        max_deaths: int = MAX_DEATHS,
    ) -> Future[Sequence[Woken]]:
        """Delete a worker that is gone, and release its processes (epoch kept, intents applied).

        Args:
            queues: Its own queue, and the one to which live processes of that queue belong from now on.
            died: Count one death more for each process that was at work in it.
            proven: It is certain that it died; one that was only silent for long may be cut off.
            max_deaths: A process with so many proven deaths, in each of which nothing else was at work,
                becomes excepted, with the story as its error, and its parents wake.

        Returns:
            All of these processes that are ready, to be put on their queues.
        """

    def sweep(self, *, expiry: float, stale: float) -> Future[Sweep]:
        """Fire the timers that are due, and find what may have been lost. Each is one indexed query.

        Args:
            expiry: Workers without a heartbeat for so many seconds are returned; they are not released.
            stale: Processes that have been ready and unowned for so many seconds are returned.
        """

    # Reads

    def get(self, pid: int) -> ProcessRow | None:
        """The row of a process; None if there is none."""

    def find_key(self, key: str) -> ProcessRow | None:
        """The row of the process that has this key; None if none has."""

    def select(self, selection: Selection) -> Sequence[ProcessRow]:
        """The rows of a selection, newest first."""

    def tree(self, pid: int) -> Sequence[ProcessRow]:
        """A process and all its descendants: by pid, and parents before children."""

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]:
        """How processes stand or ended, with outputs and error, in the order of the pids; those that do not
        exist are left out.

        Args:
            small: Outputs of more bytes than that are not read (`unread` tells how many they are), nor are
                errors.
        """

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        """The outputs of a process that has ended; None if there are none.

        Args:
            within: Seconds to wait for a database that is away.
        """

    def inputs(self, pid: int) -> bytes | None:
        """The inputs of a process; None if there is no such process."""

    def checkpoint(self, pid: int) -> bytes | None:
        """The newest checkpoint of a process; None if it has not made one, or has terminated."""

    def recorded(self, pid: int, key: str) -> Recorded | None:
        """What is recorded of a once-block; None if there is no such process."""

    def signals(self, pid: int) -> Sequence[SignalRow]:
        """Signals that a process has not used yet, in the order in which they came."""

    def awaited(self, pid: int) -> Sequence[ProcessRow]:
        """The processes that a waiting one waits for and that have not terminated, by pid."""

    def claims(self, owner: str) -> dict[int, int]:
        """The pids of the processes that an owner holds, each with its epoch."""

    def awaited_in_tree(self, pid: int) -> dict[int, list[int]]:
        """Of a process and its descendants, the pids of those that wait for others, each with these
        others."""

    def asked(self, owner: str) -> Sequence[ProcessRow]:
        """The processes of an owner that have an intent, or are paused."""

    def events(self, pid: int, *, after: int = 0, limit: int | None = None) -> Sequence[EventRow]:
        """The history of a process, oldest first.

        Args:
            after: Only lines with a greater `seq`.
            limit: At most so many.
        """

    def started(self, pids: Sequence[int]) -> Mapping[int, float]:
        """When a worker first claimed each of these; those that none has claimed are left out."""

    def live(self) -> Iterator[Claim]:
        """Every process that has not terminated, with inputs and checkpoint, by pid. Claims nothing."""

    def owners(self) -> dict[str, int]:
        """How many processes each owner holds, whether or not there is such a worker."""

    def idle(self, seconds: float) -> Sequence[Woken]:
        """Processes that have been ready and unowned for so many seconds, the longest first."""

    def clock(self) -> float:
        """The time by the clock that stamps rows and heartbeats."""

    def damage(self) -> Sequence[str]:
        """What the database finds damaged in its own file, a sentence each (SQLite; empty on PostgreSQL)."""

    def workers(self) -> Sequence[WorkerRow]:
        """All workers that are registered, the oldest first."""

    def counts(self) -> dict[State, int]:
        """How many processes are in each state."""

    def backlog(self) -> dict[str, int]:
        """How many processes are ready and unowned, by queue."""
