"""What the steps of processes have printed: a file for each process that has printed something.

`PID.log` is written by whatever a step starts, all of it for appending. Whatever can be said of a step before
it has printed (most never do) stands in the head of a file of its host that has no process yet: that becomes
the file of the process as soon as something follows the head. So whoever sees such a file may name it.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from quince.interpreter import STEP_HOST
from quince.os_process import program_name
from quince.private_files import open_private
from quince.rotation import older, rotate, size_of
from quince.settings import OUTPUT_SIZE, OUTPUT_TOTAL, STATE
from quince.settings import host_name as machine_name

HEAD = 160
"""Bytes of the head of a file that has no process yet."""
BLOCK = 4096
CLOCKS_DIFFER = 120.0
"""Seconds by which the clocks of the machines of one store may differ."""
_NAMED = re.compile(r"(\d+)\.log")
_OF = re.compile(rb"=== process (\d+), ")
_LAST = 1 << 16


class OutputFiles:
    """Those of one workspace and machine.

    Args:
        folder: Of the workspace.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve() / STATE / "output"
        self._unnamed = self.folder / "hosts"
        self.most = size_of(OUTPUT_SIZE) << 20
        self.total = size_of(OUTPUT_TOTAL) << 20

    def make(self) -> None:
        """Make the folder, if it is not there. Raises OSError."""
        for folder in (self.folder, self._unnamed):  # `parents` would make them readable for others
            folder.mkdir(exist_ok=True, mode=0o700)

    def of(self, pid: int) -> Path:
        """The file of a process, whether it is there or not."""
        return self.folder / f"{pid}.log"

    def is_older(self, pid: int, created: float) -> bool:
        """Whether the file of a process was written last before that was created: of an earlier store."""
        with suppress(OSError):
            return self.of(pid).stat().st_mtime < created - CLOCKS_DIFFER
        return False

    def forget(self, pid: int) -> None:
        """Remove what a process has printed."""
        for file in (self.of(pid), older(self.of(pid))):
            file.unlink(missing_ok=True)

    def unnamed(self, host: str, number: int) -> Path:
        """A file that is to have a process.

        Args:
            host: Begins with the worker's id, and is used by one program alone.
            number: Used once there.
        """
        return self._unnamed / f"{host}.{number}"

    def name(self, file: Path, pid: int | None = None) -> None:
        """Make an unnamed file that of its process, if it has printed something; anybody may, at any time.

        Args:
            pid: The process, should the head be lost.
        """
        with suppress(FileNotFoundError), file.open("rb") as stream:
            found = _OF.match(stream.read(HEAD))
            owner = int(found[1]) if found is not None else pid
            size = os.fstat(stream.fileno()).st_size
            if owner is None or size <= (0 if found is None else HEAD):
                return
            goal = self.of(owner)
            if not goal.exists():
                file.rename(goal)
                return
            stream.seek(0)
            with open_private(goal, "ab") as target:  # of another worker, which has been declared dead
                while data := stream.read(_LAST):
                    target.write(data)
            file.unlink()

    def host_ended(self, host: str) -> None:
        """Name what a program has left that used this name, or remove it."""
        for file in self._unnamed.glob(f"{glob.escape(host)}.*"):
            self.name(file)
            file.unlink(missing_ok=True)

    def look_at(self, file: Path) -> int:
        """See after a file to which somebody writes: that it has its name, and is not too large.

        Returns:
            How large it was.
        """
        size = 0
        with suppress(FileNotFoundError):
            size = file.stat().st_size
            if file.parent == self._unnamed and size > HEAD:
                self.name(file)
            elif file.parent == self.folder and size > self.most:
                rotate(file, self.most)
        return size

    def host_prints_to(self, ospid: int) -> Path | None:
        """The file to which descriptor 1 of a program leads, if that is one of these."""
        with suppress(OSError):
            file = Path(f"/proc/{ospid}/fd/1").readlink()
            return file if file.parent in (self.folder, self._unnamed) else None
        return None

    def sweep(self) -> None:
        """Name or remove what hosts of this machine have left whose worker was killed with them."""
        for file in self._unnamed.glob(f"{glob.escape(machine_name())}:*"):
            host = file.name.rpartition(".")[0]
            ospid = host.rpartition(".")[2]
            if ospid.isdecimal() and program_name(int(ospid)) != STEP_HOST:
                self.host_ended(host)

    def last_lines(self, pid: int, count: int) -> list[str]:
        """The last lines of a process, of its last step that has printed any, as far as they are here."""
        with suppress(OSError), self.of(pid).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _LAST))
            lines = stream.read().decode(errors="backslashreplace").split("\n")
            of_last = takewhile(lambda line: not is_heading(line), reversed(lines))
            return [line for line in of_last if line.strip()][:count][::-1]
        return []

    def discard(self, ended: Callable[[Collection[int]], Collection[int]]) -> int:
        """Remove what was printed longest ago, if all is more than it may be; how many files that were.

        Args:
            ended: Of these processes, those that have ended: what the others have printed stays.
        """
        files = sorted(self._sizes(), key=lambda one: one[2])
        excess = sum(size for *_, size in files) - self.total
        count = 0
        for begin in range(0, len(files), 500):
            if excess <= 0:
                break
            some = files[begin : begin + 500]
            over = set(ended({pid for _, pid, *_ in some}))
            for file, pid, _, size in some:
                if excess > 0 and pid in over:
                    file.unlink(missing_ok=True)
                    excess -= size
                    count += 1
        return count

    def forget_pruned(self, gone: Callable[[Collection[int]], Collection[int]]) -> None:
        """Remove what processes have printed that are pruned.

        Args:
            gone: Of these processes, those that are.
        """
        pids = sorted({pid for _, pid, *_ in self._sizes()})
        for begin in range(0, len(pids), 500):
            for pid in gone(pids[begin : begin + 500]):
                self.forget(pid)

    def _sizes(self) -> Iterator[tuple[Path, int, float, int]]:
        """The files of processes, whose, when they were written last, and what they take of the disk."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if (named := _NAMED.match(entry.name)) is not None:
                    with suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        size = -(-found.st_size // BLOCK) * BLOCK
                        yield Path(entry.path), int(named[1]), found.st_mtime, size


def heading(pid: int, step: str | None, worker: str, began: float | None = None) -> bytes:
    """The line that stands before what a step prints."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(began))
    named = f"step {step}, " if step else ""
    line = f"=== process {pid}, {named}{now}, {worker}".encode()[: HEAD - 5]
    return line.decode(errors="ignore").encode() + b" ===\n"


def head(line: bytes) -> bytes:
    """The same as the head of a file, filled up."""
    return line[:-1].ljust(HEAD - 1) + b"\n"


def is_head(data: bytes) -> bool:
    """Whether this is the head of a file."""
    return len(data) == HEAD and data.startswith(b"=== process ") and data.endswith(b"\n")


def is_heading(line: str) -> bool:
    """Whether a line is one that stands before what a step prints."""
    return line.startswith("=== process ") and line.rstrip().endswith(" ===")


def host_name(worker: str, ospid: int) -> str:
    """Under which a host of a worker has files without a name."""
    return f"{worker}.{ospid}"
