"""Group commit for the task file, on an event loop that must not wait.

If nobody else is writing just then, a small piece of work runs on the loop itself: without waiting
for the disk that takes some 50 microseconds, less than waking a thread. Otherwise it is tried again
in the next turns of the loop, and then goes to the writing thread; so does heavy work, and all that
follows until that thread is done, so the order is kept. Commits are made durable (`fdatasync` of the
write-ahead log, once for all that have come meanwhile) on the thread of a caller who waits for that
anyway, or else on the sync thread; that one check-points the log, too.

The group commit of `quince_persistence` is no second copy of this: there, one thread runs all transactions of
a store, and may wait for the disk; here, a turn of the loop is the group, and no thread need wake.
"""

from __future__ import annotations

import asyncio
import functools
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from quince_messaging.at_fork import fork_guard
from quince_messaging.errors import CommunicatorClosed
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.db_errors import explained, is_busy
from quince_messaging.transports.local.file_lock import LockTimeout, try_until_locked
from quince_messaging.transports.local.sync_thread import SyncThread, resolve
from quince_messaging.transports.local.task_db import TaskDb

T = TypeVar("T")
_log = StructuredLogger(__name__)

MOST_TRIES = 8  # turns of the loop in which work waits for others before it goes to the thread


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[TaskDb], Any]
    then: Callable[[Any, Exception | None], None]
    durable: asyncio.Future[None] | None = None
    heavy: bool = False
    committed: Callable[[int], None] | None = None
    done: bool = False
    outcome: Any = None
    error: Exception | None = None


_Batch = list[_Job]


class GroupCommit:
    """Runs pieces of work on a `TaskDb`, many to a transaction. Used on the event loop."""

    def __init__(self, file: TaskDb) -> None:
        self.side = SideTasks(_log, (sqlite3.Error, OSError, LockTimeout))
        self._file = file
        self._loop: asyncio.AbstractEventLoop
        self._next: _Batch = []
        self._with_writer = 0
        self._tries = 0
        self._to_write: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._writer: threading.Thread
        self._sync: SyncThread
        self._ended: asyncio.Future[None]
        self._open = False
        self._file_open = False

    async def open(self) -> None:
        """Open the file on the writing thread.

        Raises:
            sqlite3.Error, OSError, LockTimeout: it cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._sync = SyncThread(self._file, self.side, self._post)
        self._writer = self.side.thread("quince-local-writer", functools.partial(self._write, opened))
        self._writer.start()
        self._sync.thread.start()
        try:
            await opened
        except BaseException:
            self._to_write.put(None)
            raise
        self._open = True

    async def close(self) -> None:
        """Commit what was asked for, then end the threads. May be called twice."""
        if not self._open:
            return
        self._leave_to_writer()
        self._open = False
        self._to_write.put(None)
        await self._ended
        self._writer.join()
        self._sync.thread.join()

    def run(self, work: Callable[[TaskDb], T], *, heavy: bool = False) -> asyncio.Future[T]:
        """Run `work`; the future ends when that is committed.

        Light work is a few statements, each committed by itself, and may be run again from its
        beginning when a later one finds the file busy. Heavy work may take long; it is one
        transaction, in the writing thread.

        Raises (from the future):
            DeliveryFailed: it could not be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(_Job(work, functools.partial(resolve, future), None, heavy))
        return future

    def run_then(
        self,
        work: Callable[[TaskDb], T],
        then: Callable[[T, Exception | None], None],
        *,
        durable: asyncio.Future[None] | None = None,
        committed: Callable[[int], None] | None = None,
        heavy: bool = False,
        now: bool = False,
    ) -> None:
        """Run `work`; when it is committed, call `then(outcome, error)` on the loop: cheaper than a future.

        Args:
            durable: Ends when the commit is on the disk, or with the error.
            committed: Called with the mark for `until_durable`, on whatever thread commits.
            heavy: It may take long: one transaction, in the writing thread.
            now: Do not wait for other work of this turn of the loop, if none is waiting already.
        """
        self._put(_Job(work, then, durable, heavy, committed), now=now)

    def run_unwatched(self, work: Callable[[TaskDb], Any], *, heavy: bool = False) -> None:
        """Run `work`, whose outcome nobody waits for: a failure is logged."""
        self._put(_Job(work, _log_failure, None, heavy))

    def until_durable(self, mark: int) -> None:
        """Wait, on a thread that may, until what was committed before that mark is on the disk.

        It may be called after closing: what is marked is on the disk by then.

        Raises:
            DeliveryFailed: the disk failed.
        """
        try:
            self._file.log.sync(mark)
        except OSError as error:
            raise explained(error) from error

    def _put(self, job: _Job, *, now: bool = False) -> None:
        if not self._open:
            raise CommunicatorClosed("this communicator is closed; connect again")
        first = not self._next
        self._next.append(job)
        if first and now:
            self._commit_next()
        elif first:
            self._loop.call_soon(self._commit_next)

    # On the loop

    def _commit_next(self) -> None:
        """Do what was asked for: here, if it is light and nobody else is writing."""
        try:
            self._commit_some()
        except Exception:  # those who wait, and those who come, need somebody who does it
            _log.exception("a change of the task file is left to the writing thread", count=len(self._next))
            self._leave_to_writer()

    def _commit_some(self) -> None:
        if not self._next:
            return
        if self._with_writer or self._tries == MOST_TRIES or self._next[0].heavy:
            self._leave_to_writer()
        elif done := self._do_light():
            self._sync_later(done)
            _settle(done)
            if self._next:
                self._loop.call_soon(self._commit_next)
        else:
            self._tries += 1
            self._loop.call_soon(self._commit_next)

    def _do_light(self) -> _Batch:
        """Do the light jobs at the head of what is asked for, as long as nobody is in the way."""
        if not self._file.lock.try_shared():
            return []
        done: _Batch = []
        try:
            for job in self._next:
                if job.heavy or not self._attempt(job):
                    break
                done.append(job)
        finally:
            self._file.lock.unlock()
        if done:
            self._tries = 0
            del self._next[: len(done)]
        return done

    def _leave_to_writer(self) -> None:
        self._tries = 0
        jobs, self._next = self._next, []
        if jobs:
            self._with_writer += 1
            self._to_write.put(jobs)

    def _written(self, jobs: _Batch) -> None:
        self._with_writer -= 1
        _settle(jobs)

    # On the loop or the writing thread, whichever has the file

    def _attempt(self, job: _Job) -> bool:
        """Do one job; False if the file was busy. Any other error is the job's."""
        file = self._file
        with fork_guard:
            try:
                if not file.in_place():
                    raise FileNotFoundError("the folder was removed")
                if job.heavy:
                    file.begin()
                job.outcome = job.work(file)
                if job.heavy:
                    file.commit()
                if job.committed is not None:
                    job.committed(file.log.mark())
            except Exception as error:
                file.rollback()
                if is_busy(error):
                    return False
                job.error = error
        return True

    def _sync_later(self, jobs: _Batch) -> None:
        durable = [job.durable for job in jobs if job.durable is not None and job.error is None]
        self._sync.committed(len(jobs), durable)

    # The writing thread

    def _write(self, opened: asyncio.Future[None]) -> None:
        if not self._file_open:  # else it is begun again
            try:
                with fork_guard:
                    self._file.open()
            except Exception as error:
                self._post(resolve, opened, None, error)
                self._sync.stop()
                return
            self._file_open = True
            self._post(resolve, opened, None, None)
        while (jobs := self._to_write.get()) is not None:
            try:
                self._write_batch(jobs)
            except BaseException as error:  # whatever it is: those who wait are told, and the thread goes on
                for job in jobs:
                    if not job.done:
                        job.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
            self._sync_later(jobs)
            self._post(self._written, jobs)
        self._sync.stop()
        self._sync.thread.join()
        with fork_guard:
            self._file.close()
        self._post(resolve, self._ended, None, None)

    def _write_batch(self, jobs: _Batch) -> None:
        """Do the jobs in order; when others stay in the way, what is left fails together."""
        for job in jobs:
            try_until_locked(self._file.lock.try_shared)
            try:
                try_until_locked(functools.partial(self._attempt, job))
                job.done = True
            finally:
                self._file.lock.unlock()

    def _post(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed under us: nobody is left to tell
            _log.debug(
                "the event loop ended before its communicator",
                function=getattr(function, "__qualname__", None),
            )


def _settle(jobs: _Batch) -> None:
    for job in jobs:
        error = None if job.error is None else explained(job.error)
        if error is not None and job.durable is not None:
            resolve(job.durable, None, error)
        try:
            job.then(job.outcome, error)
        except Exception:  # the others wait for their outcome
            _log.exception(
                "what follows from a change of the task file failed",
                function=getattr(job.then, "__qualname__", None),
            )


def _log_failure(_: Any, error: Exception | None) -> None:
    if error is not None:
        _log.error("a change of the task file was lost: %(error)s", error=error)
