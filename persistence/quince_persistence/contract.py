"""What the store promises: the contract of `persistence`.

Writes are methods that return a `concurrent.futures.Future`: they are handed to the writer thread,
grouped with whatever else is waiting, and the future resolves when the transaction has committed
(it is durable then) or failed (nothing of that call was written). Reads are plain blocking calls,
safe from any thread.
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
    """A store of processes on one SQLAlchemy URL (SQLite or PostgreSQL)."""

    # Opening: no I/O in the constructor, `open()` checks the schema (creates it if the database is
    # empty; refuses an older one with the command that upgrades it, and a newer one with advice).

    on_batch: Callable[[Callable[[], None]], object] | None
    """If set, called once per commit, on the writer thread, with a function that resolves all
    futures of that commit: an event loop sets it to `loop.call_soon_threadsafe`, so that a
    commit costs one thread hop, not one for each waiter."""

    @property
    def url(self) -> str:
        """The URL without its password."""

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this store among all; a copy of it has the same. It has to be
        opened once."""

    def change_identity(self) -> str:
        """Become another store, as a copy has to that is used beside the original. For when no worker runs.

        Returns:
            The new identity.
        """

    def open(self) -> None:
        """Check the schema, make it if the database is empty, start the writer thread. A store that
        was closed can be opened again; opening one that is open does nothing."""

    def close(self) -> None:
        """Commit what was handed in, stop the writer thread, close connections. May be called twice."""

    def __enter__(self) -> StoreContract: ...

    def __exit__(self, *exc: object) -> None: ...

    # Writes

    def allocate_pids(self, count: int, *, within: float | None = None) -> Sequence[int]:
        """Fresh pids, ascending. Blocking only when the store's private block is used up; pids of a block
        that is not used up are never used.

        Args:
            within: Seconds to block at most.

        Raises:
            StoreUnavailable: the database is away for longer than the store's patience, or than this.
        """

    def try_write(self, *, within: float) -> None:
        """Write something that changes nothing.

        Raises:
            StoreUnavailable: the database takes no writes, or does not say within so many seconds.
        """

    def forget_pids(self) -> None:
        """Drop the private block: the next pids come from the database (after `PidTaken`)."""

    def insert(self, processes: Sequence[NewProcess]) -> Future[Sequence[int]]:
        """Insert processes (state created, ready unless paused). Returns their pids in order; for a
        process whose `key` is taken, the pid that has it (nothing is inserted for that one)."""

    def claim(self, pids: Sequence[int], owner: str) -> Future[Sequence[Claim]]:
        """Compare-and-swap: those of `pids` that are ready, unowned and not paused become `owner`'s
        with epoch + 1, in state running (everything else as it was). The others are left out."""

    def commit(self, step: Step) -> Future[StepOutcome]:
        """One step, one transaction; see `Step`. Fenced (nothing written) unless owner and epoch
        match the row. When the state is terminal, every process that awaits this one is counted
        down in the same transaction, and those that reach zero become ready (`woken`). When it is
        waiting, what is awaited is counted in the same transaction against what has terminated
        already, so no termination is ever missed, whoever commits first. A kill that was accepted
        before holds: then a terminal step, of whatever state, ends the process as killed."""

    def release(self, pid: int, owner: str, epoch: int, *, always: bool = False) -> Future[StepOutcome]:
        """Give a claim up without a step (eviction, graceful stop). An intent on the row (pause, kill)
        is applied with it, as `control` would on an unowned process. Without an intent it is refused
        (`kept`) if the process is in state waiting and nothing is left to wait for: then the owner
        goes on with it (with `always` it is released all the same, for an owner that cannot). The
        outcome's state, paused and ready tell how the row stands."""

    def suspend(self, pid: int, owner: str, epoch: int) -> Future[StepOutcome]:
        """Apply a pause in the middle of a step: paused, but still the owner's. Nothing is changed if the
        pause was taken back (`paused` of the outcome tells). A step that is committed later, and a
        release, leave it paused."""

    def record_once(self, pid: int, owner: str, epoch: int, key: str, result: bytes) -> Future[bool]:
        """Record the result of a once-block in a transaction of its own; a second result for the same
        key changes nothing. False (nothing written) unless owner and epoch match the row. Dropped
        when the process terminates. Resolved on the writer thread, whatever `on_batch` is."""

    def report(self, pid: int, events: Sequence[NewEvent]) -> Future[None]:
        """Append to a process's history outside a step."""

    def control(
        self,
        verb: Control,
        selection: Selection,
        *,
        author: str,
        reason: str | None = None,
        force: bool = False,
    ) -> Future[Sequence[ControlOutcome]]:
        """Pause, play or kill every selected process, in one transaction, each with a history line.

        Nobody owns it, or it waits for what has not come: it is done here (and the owner, who reads
        before it goes on whether it still has it, is told by the caller). Else the intent is written,
        the owner is told by the caller, and applies it with `commit`. The last intent wins: play
        clears a pause that has not been applied. Kill takes all descendants along, whether selected
        or not, and wins over pause. `force` (kill) ends an owned process here and fences its owner.
        Terminated processes are refused when named by pid, passed over otherwise.
        """

    def send(self, signals: Sequence[NewSignal], *, author: str) -> Future[Sequence[ControlOutcome]]:
        """Lay signals down for their processes, in one transaction, each with a history line. They
        stay until a step has used them (`Step.used`) or the process terminates. One that the process
        waits for is counted off. Refused for processes that have terminated or are not there; one
        outcome for each signal, in order."""

    def wake(self, pid: int, owner: str, epoch: int) -> Future[Sequence[Woken]]:
        """The owner says that a timer fired: count it off, or the signals whose deadline it was; ready if
        nothing else is awaited. Nothing happens unless owner and epoch match the row."""

    def copy_to(
        self, url: str, *, alive: float, author: str, pause: bool = True
    ) -> Future[Mapping[str, int]]:
        """Everything into another store, whole or not at all: processes in every state with their inputs,
        checkpoints, outputs, timers, signals and history, under their pids. Answers how many rows of each
        table were copied.

        Args:
            url: An empty database, or a store without processes.
            alive: Seconds within which a worker's last heartbeat says that it lives.
            author: Who asks.
            pause: Pause here what lives, since it goes on there.

        Raises:
            InvalidUrl: that is not a URL of a store.
            CopyRefused: (by the future) workers are at work here, or processes are there.
        """

    # Workers

    def register_worker(self, worker: WorkerRow) -> Future[None]: ...

    def heartbeat(
        self, worker_id: str, *, state: str | None = None, troubles: Sequence[str] = ()
    ) -> Future[None]:
        """Now (database or local clock, one and the same for `sweep`).

        Args:
            state: From now on; None: as it is.
            troubles: What the worker finds wrong with itself just now, each in one sentence.
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
        """A worker is no more: its row goes, its processes lose their owner (epoch kept), intents on
        them are applied, the live processes of the first of `queues` (which was its alone) belong to
        the second from now on, and all those that are ready are returned for their queues.

        If it `died`, those that were at work in it count one death more. A process is given up only on
        proof: with `max_deaths` deaths that are `proven` (one of whom nothing was heard for long may only
        be cut off), in each of which nothing else was at work, it becomes excepted, with the story as its
        error (its parents wake).
        """

    def sweep(self, *, expiry: float, stale: float) -> Future[Sweep]:
        """Timers due are fired; ready and unowned rows not touched for `stale` seconds, and workers
        without a heartbeat for `expiry` seconds, are returned. Each is one indexed query."""

    # Reads

    def get(self, pid: int) -> ProcessRow | None: ...

    def find_key(self, key: str) -> ProcessRow | None: ...

    def select(self, selection: Selection) -> Sequence[ProcessRow]: ...

    def tree(self, pid: int) -> Sequence[ProcessRow]:
        """The process and all its descendants, parents before children, by pid."""

    def results(self, pids: Sequence[int], *, small: int | None = None) -> Sequence[Result]:
        """How these stand or ended, with outputs and error. With `small`, outputs of more bytes than that
        are not read (`unread` tells how many they are), and errors are not either."""

    def outputs(self, pid: int, *, within: float | None = None) -> bytes | None:
        """What a process has put out, when it has ended. Waits `within` so many seconds for a database that
        is away."""

    def inputs(self, pid: int) -> bytes | None: ...

    def checkpoint(self, pid: int) -> bytes | None: ...

    def recorded(self, pid: int, key: str) -> Recorded | None:
        """What is recorded of a once-block; None if there is no such process."""

    def signals(self, pid: int) -> Sequence[SignalRow]:
        """Signals that the process has not used yet, in the order in which they came."""

    def awaited(self, pid: int) -> Sequence[ProcessRow]:
        """What a waiting process waits for and has not terminated."""

    def claims(self, owner: str) -> dict[int, int]:
        """What the owner holds: pids and epochs."""

    def awaited_in_tree(self, pid: int) -> dict[int, list[int]]:
        """Who of a process and its descendants waits for the ends of which pids."""

    def asked(self, owner: str) -> Sequence[ProcessRow]:
        """Those that the owner holds and that have an intent, or are paused."""

    def events(self, pid: int, *, after: int = 0, limit: int | None = None) -> Sequence[EventRow]: ...

    def started(self, pids: Sequence[int]) -> Mapping[int, float]:
        """When a worker first took up each of these; those that none has are left out."""

    def live(self) -> Iterator[Claim]:
        """Every process that has not terminated, with inputs and checkpoint. Claims nothing."""

    def owners(self) -> dict[str, int]:
        """How many processes each owner holds, whether or not there is such a worker."""

    def idle(self, seconds: float) -> Sequence[Woken]:
        """Ready and unowned for at least so many seconds."""

    def clock(self) -> float:
        """Now, by the clock that stamps rows and heartbeats."""

    def damage(self) -> Sequence[str]:
        """What the database finds damaged in its own file."""

    def workers(self) -> Sequence[WorkerRow]: ...

    def counts(self) -> dict[State, int]: ...

    def backlog(self) -> dict[str, int]:
        """Ready and unowned, by queue."""
