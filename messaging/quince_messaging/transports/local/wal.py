"""The write-ahead log of the task file, as a file on a disk: what of it is durable, and how long it is.

Whoever needs a commit on the disk brings it there on its own thread, and those who come meanwhile are
served by the sync that follows. A sync of bytes that lie within the file takes half the time of one
that must note a new length as well, so a log that grows at every sync is lengthened ahead, by zeros:
SQLite takes those for the end, as it does what an earlier round has left.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from quince_messaging.transports.local.file_lock import FileLock

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync

GROWN_OFTEN = 8  # syncs in a row that found the log longer
SHORTEST_PIECE = 256 * 1024  # bytes
LONGEST_PIECE = 1024 * 1024
LONGEST_LOG = 16 * 1024 * 1024  # from here on it grows by itself until it is check-pointed


class WriteAheadLog:
    """One descriptor of the log. Every method may be called from any thread."""

    def __init__(self, path: Path, lock_path: Path) -> None:
        self._lock_path = lock_path
        self._descriptor = os.open(path, os.O_RDWR)
        self._lock = threading.Lock()
        self._begun = 0
        self._done = 0
        self._failed = 0
        self._error: OSError | None = None
        self._marked = -1
        self._length = 0
        self._grown = 0

    def mark(self) -> int:
        """Where the log stands, for `sync`. Take it after the commit."""
        self._marked = self._begun
        return self._marked

    def sync(self, mark: int) -> None:
        """Bring what was committed before that mark to the disk, unless somebody has.

        A commit with `synchronous = NORMAL` is in the log file and survives the death of every
        process; after this it survives a power cut too. (A check-point syncs the log before it
        copies, so a log that has begun anew has nothing unsynced.)

        Raises:
            OSError: It may not be there: a disk that has failed once may say later that all is well.
        """
        with self._lock:
            if self._done <= mark:
                self._sync()
            if self._failed > mark and self._error is not None:
                raise self._error

    def close(self) -> None:
        """Sync for those who hold a mark, and be done with it. `sync` may still be called for those."""
        with self._lock:
            if self._done <= self._marked:
                self._sync()
            os.close(self._descriptor)
            self._descriptor = -1

    def _sync(self) -> None:
        self._begun += 1
        try:
            _sync(self._descriptor)
        except OSError as error:
            self._failed, self._error = self._begun, error
        else:
            with contextlib.suppress(OSError):  # a full disk: then it grows as it can
                self._keep_long()
        self._done = self._begun

    def _keep_long(self) -> None:
        length = os.fstat(self._descriptor).st_size
        self._grown = self._grown + 1 if length > self._length else 0
        self._length = length
        if self._grown >= GROWN_OFTEN and length < LONGEST_LOG:
            self._lengthen()

    def _lengthen(self) -> None:
        """Add zeros, if nobody writes just now. (Nobody else may: SQLite would write its own there.)"""
        lock = FileLock(self._lock_path)
        try:
            if lock.try_exclusive():
                length = os.fstat(self._descriptor).st_size
                piece = min(max(length, SHORTEST_PIECE), LONGEST_PIECE)
                if os.pwrite(self._descriptor, bytes(piece), length) < piece:
                    os.ftruncate(self._descriptor, length)  # leave the last room on the disk to others
                self._grown = 0
        finally:
            lock.close()
