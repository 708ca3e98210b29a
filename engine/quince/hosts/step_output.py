"""Where what steps print goes in a step host: files of their processes, which are made at the first byte."""

from __future__ import annotations

import errno
import fcntl
import io
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from quince.hosts.output_files import HEAD, OutputFiles, head, heading, host_name, is_head

if TYPE_CHECKING:
    from typing_extensions import Buffer

LONGEST = 8_000
"""Bytes after which a line that does not end is written in pieces."""
LOOK_BYTES = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_FOR_WRITING = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW

Label = Callable[[], str | None]
"""Tells the step of a process that runs, if that is known yet."""


class OneAtATime:
    """In a host that runs one step at a time: descriptors 1 and 2 lead to the file of its process, for
    Python, code in C and whatever is started. Python's streams are as in a script.

    No descriptor is believed after a step: it may have closed it, and the number mean a file of the user's.

    Args:
        worker: Its id.
    """

    def __init__(self, files: OutputFiles, worker: str) -> None:
        self._files = files
        self._worker = worker
        self._name = host_name(worker, os.getpid())
        self._numbers = itertools.count(1)
        self._unnamed: Path | None = None
        self._heads = _open(Path(os.devnull), os.O_RDWR | os.O_CLOEXEC)  # so its number never comes and goes
        self._which: tuple[int, int] | None = None
        self._streams: list[TextIO] = []
        self._renew_streams()

    @contextmanager
    def of(self, pid: int, created: float, label: Label) -> Iterator[None]:
        """Inside the block a step of this process prints, which was created then."""
        step, began = label(), time.time()
        line = heading(pid, step, self._worker, began)
        file = self._files.of(pid)
        before: int | None = None
        try:
            if os.access(file, os.F_OK) and not self._is_of_another(pid, created):
                before = self._go_on(file, line)
            else:
                self._begin(line)
        except OSError:  # the disk is full, say
            self._let_go()
            _lead_to_nowhere()
        with suppress(OSError):
            self._renew_streams()
        try:
            yield
        finally:
            self._flush()
            with suppress(OSError):
                if before is not None:
                    _without_last_heading(file, before, len(line))
                elif self._printed:
                    told = None if step is not None else label()
                    self._settle(pid, None if told is None else heading(pid, told, self._worker, began))

    def close(self) -> None:
        """The host ends."""
        self._flush()
        if self._unnamed is not None:
            with suppress(OSError):
                self._files.name(self._unnamed)
                self._unnamed.unlink(missing_ok=True)

    def _is_of_another(self, pid: int, created: float) -> bool:
        if not self._files.is_older(pid, created):
            return False
        self._files.forget(pid)
        return True

    def _go_on(self, file: Path, line: bytes) -> int:
        """With a file in which something stands already; returns its size."""
        descriptor = _open(file, _FOR_WRITING)
        try:
            os.write(descriptor, line)
            _lead_to(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _begin(self, line: bytes) -> None:
        """In a file that has no process yet."""
        if self._unnamed is None:
            self._files.make()
            file = self._files.unnamed(self._name, next(self._numbers))
            self._have_heads_at(_open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
            self._unnamed = file
        os.pwrite(self._heads, head(line), 0)  # a file that is open for appending cannot be changed
        if _identity(1) == self._which:
            os.dup2(1, 2)
            return
        descriptor = _open(self._unnamed, _FOR_WRITING)
        try:
            _lead_to(descriptor)
        finally:
            os.close(descriptor)

    def _have_heads_at(self, descriptor: int) -> None:
        if self._heads < 0:
            self._heads = descriptor
        else:
            os.dup2(descriptor, self._heads, inheritable=False)
            os.close(descriptor)
        self._which = _identity(self._heads)

    @property
    def _printed(self) -> bool:
        """Something stands in the file that had no process; or so it seems."""
        if self._unnamed is None:
            return False
        with suppress(OSError):
            found = os.fstat(self._heads)
            if (found.st_dev, found.st_ino) == self._which:
                return found.st_size not in (0, HEAD)  # 0: a program has emptied it
        self._heads = -1
        return True

    def _settle(self, pid: int, line: bytes | None) -> None:
        """What has been printed gets its name.

        Args:
            line: The heading, if the step became known only now.
        """
        try:
            if line is not None and self._heads >= 0 and is_head(os.pread(self._heads, HEAD, 0)):
                os.pwrite(self._heads, head(line), 0)
            if self._unnamed is not None:
                self._files.name(self._unnamed, pid)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Another file is for the next process. Should this one lack a name, its worker names it later."""
        self._unnamed = self._which = None

    def _renew_streams(self) -> None:
        """What a step has put in the place of the standard streams, or has closed, ends with it."""
        if not self._streams or not all(map(_is_open, self._streams)):
            self._streams = [by_lines(descriptor, closefd=False) for descriptor in (1, 2)]
        sys.stdout, sys.stderr = self._streams
        sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc, assignment]

    def _flush(self) -> None:
        now: list[Any] = [getattr(sys, name, None) for name in ("stdout", "stderr")]
        replaced = [one for one in now if one not in self._streams]
        for stream in (*replaced, *self._streams):
            with suppress(Exception):  # of a user's object, or of a stream that was closed
                stream.flush()


def _is_open(stream: TextIO) -> bool:
    try:
        return not stream.closed
    except ValueError:  # its buffer was detached, as for `codecs.getwriter`
        return False


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(file: Path, flags: int) -> int:
    """A descriptor that is none of the standard ones, though a step may have closed these."""
    descriptor = os.open(file, flags, 0o600)
    if descriptor > 2:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def _lead_to(descriptor: int) -> None:
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _lead_to_nowhere() -> None:
    with suppress(OSError):
        descriptor = _open(Path(os.devnull), os.O_WRONLY)
        try:
            _lead_to(descriptor)
        finally:
            os.close(descriptor)


def _without_last_heading(file: Path, size: int, length: int) -> None:
    """Nothing has followed it, if the file has this size."""
    if file.stat().st_size == size:
        os.truncate(file, size - length)


def by_lines(descriptor: int, *, closefd: bool = True) -> TextIO:
    """A stream that writes whole lines there, at once, whatever stands in them and whether there is room."""
    buffer = io.BufferedWriter(_Unfailing(descriptor, "w", closefd=closefd))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Unfailing(io.FileIO):
    """What there is no room for is lost: no step is to fail because a disk is full for a while."""

    def write(self, data: Buffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return memoryview(data).nbytes


class SideBySide:
    """In a host of coroutines: what goes through Python's streams goes to the file of the process whose
    coroutine prints, also in threads that it awaits. What passes them by goes to the log of the worker."""

    def __init__(self, files: OutputFiles, worker: str) -> None:
        self._files = files
        self._worker = worker
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(
                _Routed(descriptor),  # type: ignore[type-var]  # typeshed wants what only a file has
                encoding="utf-8",
                errors="backslashreplace",
                write_through=True,
            )
            for descriptor in (1, 2)
        )

    @contextmanager
    def of(self, pid: int, created: float, label: Label) -> Iterator[None]:
        file = _StepFile(self._files, pid, created, lambda: heading(pid, label(), self._worker))
        before = _printing.set(file)
        try:
            yield
        finally:
            _printing.reset(before)
            file.close()

    def close(self) -> None:
        return


class _Routed(io.BufferedIOBase):
    """Takes the bytes of all.

    Args:
        below: The descriptor for those of nobody, and those that cannot be written to their file.
    """

    def __init__(self, below: int) -> None:
        self._below = below

    def write(self, data: Buffer) -> int:
        taken = bytes(data)
        if not self._written(taken):
            with suppress(OSError):
                os.write(self._below, taken)
        return len(taken)

    def _written(self, taken: bytes) -> bool:
        file = _printing.get()
        if file is None:
            return False
        try:
            file.write(taken)
        except OSError:
            return False
        return True

    def flush(self) -> None:
        if (file := _printing.get()) is not None:
            with suppress(OSError):
                file.flush()

    def fileno(self) -> int:
        return self._below

    def writable(self) -> bool:
        return True


class _StepFile:
    """Takes what one step prints, and writes it line by line, whichever thread prints it.

    Args:
        line: Makes the heading.
    """

    def __init__(self, files: OutputFiles, pid: int, created: float, line: Callable[[], bytes]) -> None:
        self._files = files
        self._pid, self._created = pid, created
        self._line: Callable[[], bytes] | None = line
        self._begun = bytearray()
        self._descriptor = -1
        self._over = False
        self._unseen = 0
        self._lock = threading.RLock()
        _files.add(self)

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        with self._lock:
            self._begun += data
            if b"\n" in data or len(self._begun) > LONGEST:
                self.flush()

    def flush(self) -> None:
        """Raises OSError."""
        with self._lock:
            data, self._begun = bytes(self._begun), bytearray()
            if data:
                self._write(data)
            if self._over and self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def close(self) -> None:
        """The step has ended. A thread of it that goes on can print all the same."""
        with self._lock:
            self._over = True
            with suppress(OSError):
                self.flush()

    def renew(self) -> None:
        """In the child of a fork: whoever held the lock is not there."""
        self._lock = threading.RLock()

    def _write(self, data: bytes) -> None:
        if self._descriptor < 0:
            self._files.make()
            if self._files.is_older(self._pid, self._created):
                self._files.forget(self._pid)
            self._descriptor = _open(self._files.of(self._pid), _FOR_WRITING | os.O_CREAT)
        if self._line is not None:
            line, self._line = self._line, None
            data = line() + data
        os.write(self._descriptor, data)
        self._unseen += len(data)
        if self._unseen > LOOK_BYTES:
            self._unseen = 0
            self._files.look_at(self._files.of(self._pid))


_printing: ContextVar[_StepFile | None] = ContextVar("quince_printing", default=None)
_files: weakref.WeakSet[_StepFile] = weakref.WeakSet()


def _renew_in_child() -> None:
    for file in list(_files):
        file.renew()


os.register_at_fork(after_in_child=_renew_in_child)
