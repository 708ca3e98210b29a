"""The store: what is true about every process, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from quince_persistence.contract import StoreContract
from quince_persistence.databases import bootstrap
from quince_persistence.databases.at_fork import renew_in_children
from quince_persistence.databases.database import Database, for_caller, shown
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import CopyRefused, PersistenceError, StoreClosed, StoreUnavailable
from quince_persistence.reading.checkups import Checkups
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.records import Claim, Control, NewEvent, NewProcess, NewSignal, Selection, Woken
from quince_persistence.records.controls import ControlOutcome, Restarted
from quince_persistence.records.notices import Happening, NoticeRow, Sent
from quince_persistence.records.pruning import Pruned
from quince_persistence.records.schedules import Fired, Firing, Schedule, ScheduleRow
from quince_persistence.records.steps import Step, StepOutcome, Telling
from quince_persistence.records.workers import Sweep, Vitals, WorkerRow
from quince_persistence.writing.group_commit import GroupCommit
from quince_persistence.writing.operations.base import NOTHING, Operation
from quince_persistence.writing.operations.claim import ClaimProcesses
from quince_persistence.writing.operations.control import ControlProcesses
from quince_persistence.writing.operations.copy import CopyTo
from quince_persistence.writing.operations.fire import Fire
from quince_persistence.writing.operations.insert import Insert
from quince_persistence.writing.operations.limits import RemoveLimit, SetLimit
from quince_persistence.writing.operations.notices import (
    AddNotice,
    SettleNotices,
    TakeNotices,
    WantNotices,
)
from quince_persistence.writing.operations.once import RecordOnce
from quince_persistence.writing.operations.pids import AllocatePids
from quince_persistence.writing.operations.place import PlaceProcesses
from quince_persistence.writing.operations.prune import Prune
from quince_persistence.writing.operations.restart import RestartProcess
from quince_persistence.writing.operations.retry import RetryProcesses
from quince_persistence.writing.operations.schedules import HoldSchedule, PutSchedule, RemoveSchedule
from quince_persistence.writing.operations.signals import Send
from quince_persistence.writing.operations.steps import (
    CommitStep,
    RecordDeath,
    Release,
    Report,
    Suspend,
)
from quince_persistence.writing.operations.sweep import DropUnused, PartsSwept, SweepProcesses, Wake
from quince_persistence.writing.operations.tell import Tell
from quince_persistence.writing.operations.turns import TakeTurn
from quince_persistence.writing.operations.workers import Heartbeat, RegisterWorker, ReleaseWorker
from quince_persistence.writing.pid_block import PidBlock
from quince_persistence.writing.transaction import PATIENCE_SECONDS

_T = TypeVar("_T")


class Store(Checkups, StoreContract):
    """A store of processes on one database; what its methods promise stands in `StoreContract`.

    Args:
        url: `sqlite:///file`, `postgresql://user:password@host/database`, or `sqlite://` for one in
            memory, which ends with the store.
        patience: Seconds that a write waits for a database that is away (and, up to 30, for one that
            another program has locked).
        database: One that several stores of this program share, in place of one of its own: it is not
            closed with the store.

    Raises:
        InvalidUrl: not a URL of SQLite or PostgreSQL.
    """

    def __init__(
        self, url: str, *, patience: float = PATIENCE_SECONDS, database: Database | None = None
    ) -> None:
        self._given = url
        self._shared = database is not None
        self._database = database or database_of(url, patience=patience)
        self._patience = patience
        self._on_batch: Callable[[Callable[[], None]], object] | None = None
        self._writer: GroupCommit | None = None
        self._pulse: GroupCommit | None = None
        self._rows = RowReader(self._database)
        self._pids = PidBlock(self._more_pids)
        self._identity = ""
        self._parts_swept = PartsSwept()
        self._sound_parts = SoundParts()

    @property
    def url(self) -> str:
        return shown(self._database.url)

    @property
    def identity(self) -> str:
        if not self._identity:
            self._reader()
        return self._identity

    def change_identity(self) -> str:
        self._reader()
        self._identity = f"{bootstrap.set_identity(self._database, replace=True):012x}"
        return self._identity

    # Opening

    def open(self) -> None:
        if self._writer is not None:
            return
        try:
            bootstrap.prepare(self._database)
            self._identity = bootstrap.identity(self._database)
        except PersistenceError:
            self._database.dispose()
            raise
        except Exception as error:
            self._database.dispose()
            raise self._database.explain(error) from error
        self._writer = GroupCommit(self._database, patience=self._patience, sound_parts=self._sound_parts)
        self._writer.on_batch = self._on_batch
        self._writer.start()
        self._pulse = self._new_pulse()
        renew_in_children(self)

    def renew(self, *, quiet: bool) -> None:
        """In a forked child: get connections, a writer thread and pids of its own.

        The calls that the parent has handed in, and not had answered, are the parent's.
        """
        if self._writer is None:
            return
        parents = [
            writer.connection for writer in (self._writer, self._pulse) if writer and writer.connection
        ]
        kept = self._database.abandon(parents, quiet=quiet)
        if not kept:
            self._database = database_of(self._given, patience=self._patience)
            self._rows = RowReader(self._database)
        self._on_batch = None
        self._pids = PidBlock(self._more_pids)
        self._writer = GroupCommit(self._database, patience=self._patience, sound_parts=self._sound_parts)
        self._writer.start_when_needed()
        self._pulse = self._new_pulse()

    def close(self) -> None:
        writer, self._writer = self._writer, None
        pulse, self._pulse = self._pulse, None
        if writer is not None:
            if pulse is not None:
                pulse.stop()
            writer.stop()
            if not self._shared:
                self._database.dispose()
            self._pids = PidBlock(self._more_pids)

    def __enter__(self) -> Store:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def on_batch(self) -> Callable[[Callable[[], None]], object] | None:
        return self._on_batch

    @on_batch.setter
    def on_batch(self, call: Callable[[Callable[[], None]], object] | None) -> None:
        self._on_batch = call
        if self._writer is not None:
            self._writer.on_batch = call

    # Writes

    def allocate_pids(self, count: int, *, within: float | None = None) -> Sequence[int]:
        return self._pids.allocate(count, within)

    def try_write(self, *, within: float) -> None:
        self._more_pids(0, within)

    def _more_pids(self, count: int, within: float | None) -> Sequence[int]:
        future = self._write(AllocatePids(count))
        try:
            return future.result(within)
        except TimeoutError:
            future.cancel()  # pids that come all the same are not used
            raise StoreUnavailable(f"the database has not taken a write within {within:g} s") from None

    def forget_pids(self) -> None:
        self._pids.forget()

    def insert(
        self, processes: Sequence[NewProcess], *, contents: Mapping[str, bytes] = NOTHING
    ) -> Future[Sequence[int]]:
        return self._write(Insert(processes, contents))

    def claim(
        self,
        pids: Sequence[int],
        owner: str,
        *,
        queues: Sequence[str] = (),
        leaving: Collection[int] = (),
    ) -> Future[Sequence[Claim]]:
        return self._write(ClaimProcesses(pids, owner, queues, leaving))

    def commit(self, step: Step) -> Future[StepOutcome]:
        return self._write(CommitStep(step))

    def release(self, pid: int, owner: str, epoch: int, *, always: bool = False) -> Future[StepOutcome]:
        return self._write(Release(pid, owner, epoch, always=always))

    def suspend(self, pid: int, owner: str, epoch: int) -> Future[StepOutcome]:
        return self._write(Suspend(pid, owner, epoch))

    def record_death(
        self, pid: int, owner: str, epoch: int, event: NewEvent, *, deaths: int, alone: bool
    ) -> Future[StepOutcome]:
        return self._write(RecordDeath(pid, owner, epoch, event, deaths=deaths, alone=alone))

    def record_once(
        self,
        pid: int,
        owner: str,
        epoch: int,
        key: str,
        result: bytes,
        contents: Mapping[str, bytes] = NOTHING,
    ) -> Future[bool]:
        return self._write(RecordOnce(pid, owner, epoch, key, result, contents))

    def tell(self, tellings: Sequence[Telling]) -> Future[None]:
        return self._write(Tell(tellings))

    def report(self, pid: int, events: Sequence[NewEvent]) -> Future[None]:
        return self._write(Report(pid, events))

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
        return self._write(ControlProcesses(verb, selection, author, reason, force=force, now=now))

    def retry(
        self,
        selection: Selection,
        *,
        author: str,
        reason: str | None = None,
        inputs: bytes | None = None,
    ) -> Future[Sequence[ControlOutcome]]:
        return self._write(RetryProcesses(selection, author, reason, inputs=inputs))

    def restart(
        self,
        pid: int,
        *,
        author: str,
        reason: str | None = None,
        number: int | None = None,
        inputs: bytes | None = None,
    ) -> Future[Restarted]:
        operation = RestartProcess(pid, author, reason, number=number, inputs=inputs)
        return self._write(operation)

    def place(
        self,
        selection: Selection,
        *,
        author: str,
        queue: str | None = None,
        priority: int | None = None,
    ) -> Future[Sequence[ControlOutcome]]:
        return self._write(PlaceProcesses(selection, author, queue=queue, priority=priority))

    def send(self, signals: Sequence[NewSignal], *, author: str) -> Future[Sequence[ControlOutcome]]:
        return self._write(Send(signals, author))

    def copy_to(
        self, url: str, *, alive: float, author: str, pause: bool = True
    ) -> Future[Mapping[str, int]]:
        target = database_of(url)
        if target.url == self._database.url:
            raise CopyRefused(f"{self.url} cannot be copied to itself")
        return self._write(
            CopyTo(target, shown(target.url), own=self.identity, alive=alive, author=author, pause=pause)
        )

    def set_limit(
        self, name: str, *, slots: int | None = None, rate: int | None = None, per: float = 1.0
    ) -> Future[Sequence[Woken]]:
        return self._write(SetLimit(name, slots, rate, per))

    def remove_limit(self, name: str) -> Future[Sequence[Woken] | None]:
        return self._write(RemoveLimit(name))

    def prune(
        self,
        roots: Sequence[int],
        *,
        before: float,
        failed_before: float,
        gone: Iterable[int] = (),
        dry: bool = False,
    ) -> Future[Pruned]:
        return self._write(Prune(roots, before, failed_before, gone=gone, dry=dry))

    def drop_unused(self) -> Future[None]:
        return self._write(DropUnused())

    def take_turn(self, name: str, *, every: float) -> Future[bool]:
        return self._write(TakeTurn(name, every))

    def vacuum(self) -> tuple[int, int]:
        self._reader()
        self.drop_unused().result()
        try:
            before = self._database.size()
            self._database.vacuum()
            return before, self._database.size()
        except PersistenceError:
            raise
        except Exception as error:
            raise for_caller(self._database, error) from error

    def wake(self, pid: int, owner: str, epoch: int) -> Future[Sequence[Woken]]:
        return self._write(Wake(pid, owner, epoch))

    # Schedules

    def put_schedule(
        self,
        name: str,
        schedule: Schedule,
        inputs: bytes,
        *,
        moment: float | None,
        next_at: float | None,
        author: str,
        replaces: bool = False,
        planned: float | None = None,
    ) -> Future[ScheduleRow]:
        return self._write(
            PutSchedule(name, schedule, inputs, moment, next_at, planned, replaces=replaces, author=author)
        )

    def hold_schedule(
        self,
        name: str,
        *,
        paused: bool,
        moment: float | None,
        next_at: float | None,
        author: str,
        planned: float | None = None,
    ) -> Future[ScheduleRow]:
        return self._write(HoldSchedule(name, moment, next_at, planned, paused=paused, author=author))

    def remove_schedule(self, name: str) -> Future[None]:
        return self._write(RemoveSchedule(name))

    def fire(self, firing: Firing) -> Future[Fired]:
        return self._write(Fire(firing))

    # Notices

    def want_notices(
        self, receivers: Mapping[str, Collection[Happening]], *, keep: float, most: int
    ) -> Future[None]:
        return self._write(WantNotices(receivers, keep, most))

    def add_notice(self, name: str, event: Happening, body: Mapping[str, Any]) -> Future[None]:
        return self._write(AddNotice(name, event, body))

    def take_notices(
        self, receivers: Collection[str], owner: str, *, most: int, hold: float
    ) -> Future[Sequence[NoticeRow]]:
        return self._write(TakeNotices(receivers, owner, most, hold))

    def settle_notices(self, sent: Sequence[Sent], owner: str) -> Future[None]:
        return self._write(SettleNotices(sent, owner))

    # Workers

    def register_worker(self, worker: WorkerRow) -> Future[None]:
        return self._write(RegisterWorker(worker))

    def heartbeat(
        self,
        worker_id: str,
        *,
        state: str | None = None,
        troubles: Sequence[str] = (),
        vitals: Vitals | None = None,
    ) -> Future[None]:
        return self._write(Heartbeat(worker_id, state, troubles, vitals), aside=True)

    def release_worker(
        self,
        worker_id: str,
        *,
        queues: tuple[str, str] | None = None,
        died: bool = True,
        silent: bool = False,
    ) -> Future[Sequence[Woken]]:
        return self._write(ReleaseWorker(worker_id, queues, died=died, silent=silent))

    def sweep(self, *, expiry: float, stale: float) -> Future[Sweep]:
        return self._write(SweepProcesses(expiry, stale, self._parts_swept))

    # What reads and what writes

    def _reader(self) -> RowReader:
        if self._writer is None:
            raise StoreClosed
        return self._rows

    def _new_pulse(self) -> GroupCommit:
        pulse = GroupCommit(self._database, patience=self._patience, name="quince-pulse")
        pulse.start_when_needed()
        return pulse

    def _write(self, operation: Operation[_T], *, aside: bool = False) -> Future[_T]:
        """Aside: over a thread and a connection of its own, so that a heartbeat waits for no large write."""
        writer = self._pulse if aside else self._writer
        if writer is None:
            raise StoreClosed
        writer.submit(operation)
        return operation.future
