"""Taking turns between the programs that write to one SQLite file.

SQLite keeps writers apart, but does not queue them: one that waits only tries again now and then, and
one that has much to write is always there first. Two locks make a queue: whoever wants to write takes
the gate, waits inside it for the turn, and opens the gate again with the turn in hand. So the one that
has just written stands behind the one that waits.

The gate is a courtesy: what it does not give in time is done without it. The turn is not: who does not have
it writes nothing, and copies no write-ahead log into the database. SQLite before 3.51.3 may damage the file
if a connection commits at the very moment at which another one begins such a copy: with the turn, no two of
them are ever at work.
Source: https://www.sqlite.org/wal.html#walresetbug

The kernel frees the locks of a program that dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quince_persistence.errors import StoreBusy, StoreUnavailable

IMPATIENCE = 2.0
"""Seconds after which one waits for the turn outside of the gate (who stands in it is frozen)."""

TRUCE = 30.0
"""Seconds without the gate after that."""

_FIRST_PAUSE = 0.00005
_LONGEST_PAUSE = 0.0005

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
        self._door, self._mine = threading.Lock(), threading.Lock()  # gate and turn of this program's threads
        self._owner: int | None = None
        self._gate = self._turn = -1
        self._no_gate_until = 0.0
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
        self._enter(until)
        try:
            self._take(until)
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None
                fcntl.flock(self._turn, fcntl.LOCK_UN)
        finally:
            self._mine.release()

    def close(self) -> None:
        """Give everything back."""
        for file in (self._gate, self._turn):
            if file >= 0:
                os.close(file)
        self._gate = self._turn = -1

    def forsake(self) -> None:
        """In a forked child: it would go on holding the locks of its parent if that dies."""
        self.close()
        self._door, self._mine, self._owner = threading.Lock(), threading.Lock(), None

    def _enter(self, until: float) -> None:
        """Take the turn among the threads of this program."""
        if not self._door.acquire(timeout=max(0.0, until - time.monotonic())):
            raise self._busy()
        try:
            if not self._mine.acquire(timeout=max(0.0, until - time.monotonic())):
                raise self._busy()
        finally:
            self._door.release()

    def _take(self, until: float) -> None:
        """Take it among programs."""
        if self._turn < 0:
            self._open()
        gated = self._stand_in_gate(until)
        try:
            if not _lock(self._turn, until):
                raise self._busy()
        finally:
            if gated:
                fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _stand_in_gate(self, until: float) -> bool:
        """Whether we do, or go without."""
        now = time.monotonic()
        if now < self._no_gate_until:
            return False
        if _lock(self._gate, min(until, now + IMPATIENCE)):
            return True
        self._no_gate_until = time.monotonic() + TRUCE
        return False

    def _open(self) -> None:
        try:
            self._gate, self._turn = (_opened(self._path, name) for name in ("gate", "turn"))
        except OSError as error:
            raise StoreUnavailable(
                f"{self._path} cannot be written: the lock of those who do cannot be opened "
                f"({error.strerror}: {error.filename})"
            ) from error

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            f"another program writes to {self._path} for too long, or was stopped in the middle of it "
            f"(one of those that `fuser {self._path}-turn` names): end it, or wait; nothing was written"
        )


def _opened(database: Path, name: str) -> int:
    """A lock beside the database: whoever may write to the one may write to the other."""
    path, flags = f"{database}-{name}", os.O_CLOEXEC | os.O_NOFOLLOW
    mode = database.stat().st_mode & 0o666 if database.exists() else 0o600
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, mode)
    except PermissionError:  # another user's file can be locked all the same
        return os.open(path, os.O_RDONLY | flags)


def _lock(file: int, until: float) -> bool:
    """Lock a file, tried often: `flock` itself knows no time limit."""
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
        else:
            return True
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _forsake() -> None:
    for turnstile in list(_all):
        turnstile.forsake()


os.register_at_fork(after_in_child=_forsake)
