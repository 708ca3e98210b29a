"""The daemon's files in a workspace: its settings, its lock, its logs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from quince.errors import DaemonError
from quince.interpreter import SUPERVISOR, arguments_of
from quince.os_process import Program, program_of
from quince.private_files import open_private, write_private
from quince.rotation import rotate, size_of
from quince.settings import (
    DAEMON_LOCK,
    DEFAULT_SLOTS,
    LOG_FILES,
    LOG_SIZE,
    SETTINGS,
    STATE,
    host_name,
)


class Settings(msgspec.Struct, frozen=True):
    """What the daemon was asked to be.

    Attributes:
        slots: Of each worker.
        grace: Seconds for steps that run when a worker is to leave; None: `GRACE_SECONDS`.
    """

    workers: int = 1
    slots: int = DEFAULT_SLOTS
    queues: tuple[str, ...] = ("default",)
    grace: float | None = None

    def text(self) -> str:
        """As JSON, in one line."""
        return msgspec.json.encode(self).decode()


class DaemonFiles:
    """The daemon's files in the workspace's folder: settings, lock, logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / STATE
        self.settings = self._state / SETTINGS
        self.lock = self._state / DAEMON_LOCK
        self._held: os.stat_result | None = None
        self.report = self._state / "daemon.report"

    def log(self, name: str) -> Path:
        """The log of the daemon (`daemon`) or of a worker (`worker-1`)."""
        logs = self._state / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return logs / f"{name}.log"

    def logs(self) -> list[Path]:
        """Every log there is."""
        return sorted((self._state / "logs").glob("*.log"))

    def rotate_logs(self) -> None:
        """Begin those anew that are too large, under the hands of those who write them.

        Raises:
            OSError, WorkspaceError: see `rotate` and `size_of`.
        """
        for log in filter(Path.is_file, self.logs()):
            rotate(log, size_of(LOG_SIZE) << 20, size_of(LOG_FILES))

    def read(self) -> Settings | None:
        try:
            return msgspec.json.decode(self.settings.read_bytes(), type=Settings)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise DaemonError(f"{self.settings} cannot be read ({error}); remove it") from error

    def write(self, settings: Settings) -> None:
        try:
            write_private(self.settings, settings.text())
        except OSError as error:
            raise DaemonError(f"{self.settings} cannot be written: {error.strerror}") from error

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the daemon's lock; the kernel frees it when the holder dies.

        Raises:
            DaemonError: another daemon holds it.
        """
        try:
            file = open_private(self.lock, "a+")
        except OSError as error:
            raise DaemonError(
                f"the daemon needs to write in {self._state}, and cannot: {error.strerror}"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DaemonError(
                    f"a daemon runs already in {self.folder}; `quince daemon scale N` changes its size"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n{Program.this()}\n{host_name()}\n")
            file.flush()
            self._held = os.fstat(file.fileno())
            yield

    @property
    def in_place(self) -> bool:
        """Whether the lock that this program holds is the one that others find."""
        try:
            return self._held is not None and os.path.samestat(self._held, self.lock.stat())
        except OSError:
            return False

    def holder(self) -> int | None:
        """The process id of the daemon that runs, or None.

        Raises:
            DaemonError: it runs where its process id means nothing to us.
        """
        try:
            with self.lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return self._without_files()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return self._written()
        return self._without_files()

    def _without_files(self) -> int | None:
        """A daemon whose files were moved or removed; it has noticed, and ends when its workers have."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                arguments = arguments_of(process.cmdline(), SUPERVISOR)
                if arguments is not None and arguments[:1] == [str(self.folder)]:
                    return int(process.pid)
        return None

    def _written(self) -> int | None:
        """The process that has written itself down as the holder."""
        number, program, host = [*self.lock.read_text().split("\n"), "", ""][:3]
        holder = program_of(program)
        if holder is None:  # a version of before
            return int(number) if number.isdecimal() else None
        if holder.runs() is None:
            raise DaemonError(
                f"the daemon of {self.folder} runs on another host or in another container ({host}, where it "
                f"is process {holder.ospid}); see to it there, or give this host a workspace of its own"
            )
        return holder.ospid
