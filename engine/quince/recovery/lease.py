"""A worker's claim to be alive: its process for its own host, a heartbeat in the store for the others.

The lock file names the process, and says where it is to be believed. A file that is not there, or was copied,
proves nothing, and neither does the name of a host: two machines, or containers, may have one name.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Container
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import IO

from quince.os_process import Program, holder_of, since_boot, write_holder
from quince.private_files import open_private
from quince.processes.orphans import end_orphans
from quince.recovery.interfaces import StepHosts
from quince.recovery.vitals import vitals
from quince.settings import EXPIRY_SECONDS, HEARTBEAT_SECONDS, host_name
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.contract import StoreContract
from quince_persistence.databases.sqlite_url import unquoted
from quince_persistence.errors import PersistenceError, StoreMoved, StoreUnavailable, UnknownWorker
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince.worker")

_SILENT = StoreUnavailable(f"the store has not answered for more than {EXPIRY_SECONDS:g} s")


def new_worker_id() -> str:
    """`host:ospid:random`, never used again."""
    return f"{host_name()}:{os.getpid()}:{secrets.token_hex(4)}"


def _log_only(error: StoreMoved) -> None:
    _log.error("%(error)s", store=str(error), error=error)


class Lease:
    """Lasts from `with` until its end, or the death of the operating-system process.

    The heartbeat has a thread of its own, so it goes on whatever the user's code does to the loop.

    Args:
        on_lost: Called, from any thread, when the worker finds that it was declared dead.
        on_moved: Called, from any thread, when the store's file is not where it was.
        side: Keeps the thread going, and knows what else is wrong with the worker: heartbeats carry it.
        hosts: Keep the lock as long as one of them lives, and hear of each heartbeat.

    Attributes:
        over: The store has forgotten the worker. Else the file of the lock stays, and names no process: so
            every sweep knows at once that the worker has ended.
    """

    def __init__(
        self,
        store: StoreContract,
        worker_id: str,
        lock: Path,
        on_lost: Callable[[], None],
        side: SideTasks | None = None,
        on_moved: Callable[[StoreMoved], None] = _log_only,
        hosts: StepHosts | None = None,
    ) -> None:
        self._store = store
        self._id = worker_id
        self.lock = lock
        self._on_lost = on_lost
        self._on_moved = on_moved
        self._hosts = hosts
        self.over = False
        self._answered = time.monotonic()
        self._file: IO[str] | None = None
        self._stop = threading.Event()
        self._side = side or SideTasks(_log, (PersistenceError,))
        self._thread = self._side.thread("quince-heartbeat", self._beat)

    def __enter__(self) -> Lease:
        self.lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = open_private(self.lock, "w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._write(Program.this())
        if self._hosts is not None:
            self._hosts.keep(self._file.fileno())
            self._hosts.alive()
        _leases.add(self)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        _leases.discard(self)  # its file is closed: in a forked child there is nothing to release
        if self._file is not None:
            if self.over:
                self.lock.unlink(missing_ok=True)
            else:  # this process may go on without the worker
                self._write(Program.this().ended)
            self._file.close()

    def _write(self, program: Program) -> None:
        assert self._file is not None
        write_holder(self._file, program)

    def release_in_child(self) -> None:
        """In a forked child: the lock is the parent's, and ends with it."""
        if self._file is not None:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, self._file.fileno(), inheritable=False)
            os.close(nothing)

    def beat(self) -> None:
        """Hand one heartbeat in."""
        troubles = self._side.sentences()
        if self._hosts is not None:
            self._hosts.alive()
        try:
            written = self._store.heartbeat(self._id, troubles=troubles, vitals=vitals())
            written.add_done_callback(partial(self._beaten, since_boot()))
        except PersistenceError as error:
            self._side.failed("the heartbeat", error)
        if time.monotonic() - self._answered > EXPIRY_SECONDS:
            self._side.failed("the heartbeat", _SILENT)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            self.beat()

    def _beaten(self, began: float, future: Future[None]) -> None:
        error = future.exception()
        self._answered = time.monotonic()
        if isinstance(error, UnknownWorker):
            self._on_lost()
        elif isinstance(error, StoreMoved):
            self._on_moved(error)
        elif error is not None:
            self._side.failed("the heartbeat", error)
        else:
            self._side.well("the heartbeat")
            if self._hosts is not None:
                self._hosts.alive(began)


def is_dead(worker: WorkerRow) -> bool:
    """Proof that a worker of this host is dead: its process has ended, and so have all of its step hosts, and
    their forks, which keep its lock.

    A worker of another host cannot be proven dead here, nor one of which is not known where it ran, or whose
    lock somebody keeps for ever; its heartbeat has to expire.
    """
    return has_ended(worker) and _is_free(worker)


def has_ended(worker: WorkerRow) -> bool:
    """Proof that the process of a worker of this host has ended; its steps may still be ending."""
    program = process_of(worker)
    return program is not None and program.runs() is False


def _is_free(worker: WorkerRow) -> bool:
    try:
        with Path(unquoted(worker.lock or "")).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def lives_here(worker: WorkerRow) -> bool:
    """Proof that a worker of this host lives, though its heartbeats may not reach the store."""
    program = process_of(worker)
    return program is not None and program.runs() is True


def process_of(worker: WorkerRow) -> Program | None:
    """The process of a worker of this host; None if it is one of another, or that is not known."""
    if worker.host != host_name() or worker.lock is None:
        return None
    return holder_of(Path(unquoted(worker.lock)))


def sweep_locks(folder: Path, known: Container[str]) -> None:
    """Remove the lock files of workers that are proven to be dead, and of whom nobody waits for that proof,
    and end what they have left.

    Args:
        known: Ids of the workers that are in the store.
    """
    for lock in folder.glob("*"):
        program = None if lock.name in known else holder_of(lock)
        if program is not None and program.runs() is False and end_orphans(lock.name):
            lock.unlink(missing_ok=True)


_leases: weakref.WeakSet[Lease] = weakref.WeakSet()


def _release_all_in_child() -> None:
    for lease in list(_leases):
        lease.release_in_child()


os.register_at_fork(after_in_child=_release_all_in_child)
