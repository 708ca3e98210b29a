"""Taking turns between the programs that write to one SQLite file.

SQLite keeps writers apart, but does not queue them: one that waits only tries again now and then, and
one that has much to write is always there first. Two locks make a queue: who wants to write locks the
queue (the file `-gate`), waits inside for the turn (the file `-turn`), and unlocks the queue when it has the
turn. So the program that has just written stands behind the one that waits.

The queue is a courtesy: who does not get its lock in time goes on without. The turn is not: who does not have
it writes nothing, and copies no write-ahead log into the database. SQLite before 3.51.3 may damage the file
if a connection commits at the very moment at which another one begins such a copy: with the turn, no two of
them are ever at work.
Source: https://www.sqlite.org/wal.html#walresetbug

The kernel frees the locks of a program that dies.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quince_persistence.databases.retry import tries
from quince_persistence.errors import StoreBusy, StoreUnavailable

QUEUE_SECONDS = 2.0
"""How long the lock of the queue is waited for: a program that holds it for longer is frozen."""

BACK_OFF_SECONDS = 30.0
"""How long the queue is not used after that."""

_all: weakref.WeakSet[WriteTurns] = weakref.WeakSet()


class WriteTurns:
    """The turns at one file. May be used by several threads; one that has the turn may take it again.

    Args:
        path: The database; the locks are files beside it.
        patience: Seconds to wait for the turn.
    """

    def __init__(self, path: Path, *, patience: float = 30.0) -> None:
        self._path = path
        self._patience = patience
        self._own_queue, self._own_turn = threading.Lock(), threading.Lock()  # of this program's threads
        self._owner: int | None = None
        self._queue = self._turn = -1
        self._no_queue_until = 0.0
        _all.add(self)

    @contextmanager
    def turn(self, patience: float | None = None) -> Iterator[None]:
        """Hold the turn.

        Raises:
            StoreBusy: another program has had it for longer than the patience.
            StoreUnavailable: the files of the locks cannot be opened.
        """
        until = time.monotonic() + (self._patience if patience is None else patience)
        if self._owner == threading.get_ident():
            yield
            return
        self._take_among_threads(until)
        try:
            self._take_among_programs(until)
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None
                fcntl.flock(self._turn, fcntl.LOCK_UN)
        finally:
            self._own_turn.release()

    def close(self) -> None:
        """Close the files of the locks; the next turn opens them again."""
        for file in (self._queue, self._turn):
            if file >= 0:
                os.close(file)
        self._queue = self._turn = -1

    def abandon(self) -> None:
        """In a forked child: close the files, with which it would hold the locks of a parent that dies."""
        self.close()
        self._own_queue, self._own_turn, self._owner = threading.Lock(), threading.Lock(), None

    def _take_among_threads(self, until: float) -> None:
        if not self._own_queue.acquire(timeout=max(0.0, until - time.monotonic())):
            raise self._busy()
        try:
            if not self._own_turn.acquire(timeout=max(0.0, until - time.monotonic())):
                raise self._busy()
        finally:
            self._own_queue.release()

    def _take_among_programs(self, until: float) -> None:
        if self._turn < 0:
            self._open()
        queued = self._enter_queue(until)
        try:
            if not _lock(self._turn, until):
                raise self._busy()
        finally:
            if queued:
                fcntl.flock(self._queue, fcntl.LOCK_UN)

    def _enter_queue(self, until: float) -> bool:
        """Lock the queue; False if that took too long, now or a while ago: then go on without it."""
        now = time.monotonic()
        if now < self._no_queue_until:
            return False
        if _lock(self._queue, min(until, now + QUEUE_SECONDS)):
            return True
        self._no_queue_until = time.monotonic() + BACK_OFF_SECONDS
        return False

    def _open(self) -> None:
        try:
            self._queue, self._turn = (_opened(self._path, name) for name in ("gate", "turn"))
        except OSError as error:
            raise StoreUnavailable(
                f"{self._path} cannot be written: the lock of its writers cannot be opened "
                f"({error.strerror}: {error.filename})"
            ) from error

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            f"another program has kept {self._path} locked for too long, or was stopped while it wrote "
            f"({users_of(self._path)}): end it, or wait; nothing was written"
        )


def users_of(path: Path) -> str:
    """How a person finds the program that has locked a store: it need not be one of ours."""
    return f"one of those that `fuser {shlex.quote(str(path))}` names"


def _opened(database: Path, name: str) -> int:
    """A lock file beside the database: who may write to the one may write to the other."""
    path, flags = f"{database}-{name}", os.O_CLOEXEC | os.O_NOFOLLOW
    mode = database.stat().st_mode & 0o666 if database.exists() else 0o600
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, mode)
    except PermissionError:  # another user's file can be locked all the same
        return os.open(path, os.O_RDONLY | flags)


def _lock(file: int, until: float) -> bool:
    """Lock a file, tried often: `flock` itself knows no time limit."""
    for _ in tries(until, first=0.00005, longest=0.0005):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _abandon_all() -> None:
    for turns in list(_all):
        turns.abandon()


os.register_at_fork(after_in_child=_abandon_all)
