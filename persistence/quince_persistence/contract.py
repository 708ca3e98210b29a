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

Large parts of values (`codec.folding`) are kept once, whoever has them, as long as somebody has; reads give
whole values, or, in place of one that is not whole, bytes that `decode` refuses with a sentence about that.

Both raise `StoreClosed` at once before `open` and after `close`. Times are seconds since the epoch by the
clock of the store (`clock`); durations are seconds; blobs are bytes made by `quince_persistence.codec`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.control_records import ControlOutcome, PastStep, Restarted
from quince_persistence.limit_records import LimitRow, LimitWait
from quince_persistence.notice_contract import NoticeContract
from quince_persistence.prune_records import Pruned
from quince_persistence.records import (
    Claim,
    Control,
    EventRow,
    NewEvent,
    NewProcess,
    NewSignal,
    ProcessRow,
    Result,
    Selection,
    SignalRow,
    State,
    Tally,
    Woken,
)
from quince_persistence.schedule_contract import ScheduleContract
from quince_persistence.step_records import Recorded, Step, StepOutcome, Telling
from quince_persistence.worker_records import QueueRow, Sweep, Vitals, WorkerRow


class StoreContract(ScheduleContract, NoticeContract, Protocol):
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

    def tell(self, tellings: Sequence[Telling]) -> Future[None]:
        """Write down what steps say while they run, each under its claim; without a claim it is dropped.

        Reports are written once: what is told again, or comes again with the step, is known by its number.
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

    def wake(self, pid: int, owner: str, epoch: int) -> Future[Sequence[Woken]]:
        """Count a timer down that has fired, or the signals whose deadline it was, as the owner of the
        process.

        Returns:
            The process, if nothing else is awaited; nothing unless owner and epoch match the row.
        """

    def set_limit(
        self, name: str, *, slots: int | None = None, rate: int | None = None, per: float = 1.0
    ) -> Future[Sequence[Woken]]:
        """Set a limit: for those that hold it already too, who keep it, and count.

        A process that asks for limits (`ProcessOptions.limits`) is ready when it has been granted all of
        them, with the commit of whatever gives one back, the first by priority and pid; it holds them until
        it ends, is paused, or waits to be tried again.

        Args:
            slots: How many may hold it at once; None: any number.
            rate: How many may begin in `per` seconds, evenly; None: any number.

        Returns:
            Those that have become ready by that.
        """

    def remove_limit(self, name: str) -> Future[Sequence[Woken] | None]:
        """Have no such limit any more.

        Returns:
            Those that have become ready by that; None if there was none.
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

    def prune(
        self,
        roots: Sequence[int],
        *,
        before: float,
        failed_before: float,
        gone: Iterable[int] = (),
        dry: bool = False,
    ) -> Future[Pruned]:
        """Delete trees that have ended: each with all that there is of it, in every table, or not at all. Its
        keys are free again; large parts of values that nobody else uses go with a sweep (or `drop_unused`).

        A tree stays if something of it lives or has ended later than it says below; if a process that lives
        awaits, or was given, one of it (`refers`); if one that stays has its outputs from it, or repeats it
        (`ProcessOptions.cached_from`, `restart_of`); or if it is the last of a schedule.

        Args:
            roots: Processes without a parent. What is not there is left out.
            before: All of a tree must have ended by then, if its root has ended well.
            failed_before: All of it must have ended by then, if its root has not.
            gone: Roots that count as if they had been deleted.
            dry: Delete nothing.
        """

    def drop_unused(self) -> Future[None]:
        """Drop all large parts of values that nobody uses any more, as sweeps do with some at a time."""

    def take_turn(self, name: str, *, every: float) -> Future[bool]:
        """Whether it is this program that does now what one of all does every so many seconds."""

    def vacuum(self) -> tuple[int, int]:
        """Give the room that deleted rows have left back: to the disk (SQLite, which takes no writes
        meanwhile, and needs as much room again), or to the tables (PostgreSQL). Blocks.

        Returns:
            How many bytes the database took before and takes now.

        Raises:
            StoreFull: there is not the room for it.
            StoreBusy: somebody reads or writes all the time.
        """

    # Workers

    def register_worker(self, worker: WorkerRow) -> Future[None]:
        """Insert the row of a worker, with a heartbeat of now; a row of the same id is replaced."""

    def heartbeat(
        self,
        worker_id: str,
        *,
        state: str | None = None,
        troubles: Sequence[str] = (),
        vitals: Vitals | None = None,
    ) -> Future[None]:
        """Note that a worker lives now. It goes over a thread and a connection of its own, past all other
        writes.

        Args:
            state: The worker's state from now on; unchanged if not given.
            troubles: What the worker finds wrong with itself just now, each in one sentence.
            vitals: How the worker is; as it said before if not given.

        Raises:
            UnknownWorker: the worker has no row: it was declared dead, or never registered.
        """

    def release_worker(
        self,
        worker_id: str,
        *,
        queues: tuple[str, str] | None = None,
        died: bool = True,
    ) -> Future[Sequence[Woken]]:
        """Delete a worker that is gone, and release its processes (epoch kept, intents applied).

        Args:
            queues: Its own queue, and the one to which live processes of that queue belong from now on.
            died: It did not end in order: that is in the history of each process that was at work in it, and
                counted (`ProcessRow.deaths`), and held against none.

        Returns:
            All of these processes that are ready, to be put on their queues.
        """

    def sweep(self, *, expiry: float, stale: float) -> Future[Sweep]:
        """Fire the timers that are due, find what may have been lost, and drop large parts of values that
        nobody uses any more. Each is one indexed query or two.

        Args:
            expiry: Workers without a heartbeat for so many seconds are returned; they are not released.
            stale: Processes that have been ready and unowned for so many seconds are returned.
        """

    # Reads

    def get(self, pid: int) -> ProcessRow | None:
        """The row of a process; None if there is none."""

    def find_key(self, key: str) -> ProcessRow | None:
        """The row of the process that has this key; None if none has."""

    def keys_near(self, key: str) -> Sequence[str]:
        """Keys that there are and that begin like this one, or stand beside it in the alphabet; not many."""

    def pruned_to(self) -> int:
        """The greatest pid that was pruned; 0: none was."""

    def tree_sizes(self, roots: Sequence[int]) -> Mapping[int, int]:
        """How many processes there are in trees, by root."""

    def label_names(self) -> Sequence[str]:
        """The names of all labels that there are, by the alphabet; a hundred at most."""

    def failures(self, since: float) -> Mapping[tuple[str, State, int | None], int]:
        """How many processes have ended since then, and not well, by class path, state and exit status."""

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

    def past_steps(self, pid: int) -> Sequence[PastStep]:
        """Before which of its steps a process has kept its checkpoint, in their order; last the newest, if
        there is one."""

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
        """What is damaged, a sentence each: parts of large values that are missing, and what it finds
        in its own file (SQLite)."""

    def limits(self) -> Sequence[LimitRow]:
        """All limits that are set, or asked for by live processes, by name."""

    def limit_users(self, name: str, *, held: bool, most: int = 1000) -> Sequence[ProcessRow]:
        """The processes that hold a limit, by pid; or wait for it (first of all), in the order in which they
        get it."""

    def limit_waits(self, pids: Sequence[int]) -> Mapping[int, LimitWait]:
        """Those of these processes that wait for a limit, with the one that each waits for first of all."""

    def children(self, parents: Sequence[int], *, most: int) -> Sequence[ProcessRow]:
        """The children of some processes, by parent and pid; at most so many in all."""

    def child_counts(self, parents: Sequence[int]) -> Mapping[int, int]:
        """How many children each of these has; those that have none are left out."""

    def tallies(self, parents: Sequence[int]) -> Mapping[int, Sequence[Tally]]:
        """How many children of each of these are what; those that have none are left out."""

    def awaited_by(self, pids: Sequence[int]) -> Mapping[int, Sequence[int]]:
        """pids of the processes that each of these waits for; those that wait for none are left out."""

    def histories(self, pids: Sequence[int], kinds: Sequence[str]) -> Mapping[int, Sequence[EventRow]]:
        """The lines of these kinds in the histories of some processes, oldest first; who has none is left
        out."""

    def ends(self, since: float, width: float) -> Sequence[tuple[int, int, int]]:
        """How many processes have ended since then, by stretches of so many seconds: the number of the
        stretch, how many, and how many of these not well. Stretches in which none has are left out."""

    def live_counts(self) -> dict[tuple[str, str], int]:
        """How many processes that have not terminated there are, by class path and state."""

    def paused_count(self) -> int:
        """How many processes are paused."""

    def queues(self) -> Sequence[QueueRow]:
        """What is ready and unowned on each queue, and since when."""

    def ready(self, pids: Sequence[int]) -> Sequence[Woken]:
        """Those of these processes that are ready and unowned."""

    def workers(self) -> Sequence[WorkerRow]:
        """All workers that are registered, the oldest first."""

    def counts(self) -> dict[State, int]:
        """How many processes are in each state."""

    def backlog(self) -> dict[str, int]:
        """How many processes are ready and unowned, by queue."""
