"""Which process is meant by a process id, and whether it still runs.

A process id says nothing by itself: it is used again, and on another machine, or in another container, it
belongs to somebody else. What is proven here is proven for the same boot of the same kernel, in the same
namespace of process ids, by id and start time. Of all others nothing is known.
"""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Program:
    """One operating-system process, from its start to its end.

    Attributes:
        ospid: Its process id.
        started: When it started, in ticks since the boot; 0 if that could not be found out.
        machine: Where its id means it (see `machine`).
    """

    ospid: int
    started: int
    machine: str

    @classmethod
    def this(cls) -> Program:
        """The calling process."""
        return cls(os.getpid(), _started(os.getpid()) or 0, machine())

    @property
    def ended(self) -> Program:
        """In the place of this one, somebody of whom it is certain that he runs no more."""
        return replace(self, started=1)

    def runs(self) -> bool | None:
        """Whether it lives. None: that cannot be told from here (it runs elsewhere, or may have ended)."""
        if not self.machine or self.machine != machine():
            return None
        try:
            os.kill(self.ospid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # there is one, of another user
        started = _started(self.ospid)
        if started is None or not self.started:
            return None
        return started == self.started

    def __str__(self) -> str:
        return f"{self.ospid} {self.started} {self.machine}"


PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36


def prctl(option: int, value: int | bytes) -> None:
    """As the system call, where there is one."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def program_name(ospid: int) -> str | None:
    """What the program of a process id calls itself (`PR_SET_NAME`); None if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{ospid}/comm").read_text(errors="replace").strip()
    return None


def children_of(ospid: int) -> set[int]:
    """Process ids of those that a process has started, in whichever of its threads."""
    children: set[int] = set()
    with suppress(OSError):
        for thread in Path(f"/proc/{ospid}/task").iterdir():
            with suppress(OSError):
                children |= set(map(int, (thread / "children").read_text().split()))
    return children


def is_stopped(ospid: int) -> bool:
    """Whether a process of this machine is stopped (SIGSTOP), so that it hears of nothing but SIGKILL."""
    try:
        state = Path(f"/proc/{ospid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in (b"T", b"t")


FORKED_ONLY = 0x40
"""What the kernel notes of a process that was forked and has not become another program (`PF_FORKNOEXEC`)."""


def has_exec(ospid: int) -> bool:
    """Whether a fork of this process, which is a fork itself, has become another program (`os.exec...`).
    That is known also of one that has ended, until somebody waits for it."""
    flags = [_flags(one) for one in (os.getpid(), ospid)]
    return None not in flags and [bool(one & FORKED_ONLY) for one in flags if one is not None] == [
        True,
        False,
    ]


def _flags(ospid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{ospid}/stat").read_bytes().rpartition(b")")[2].split()[6])
    return None


def program_of(text: str) -> Program | None:
    """The process that `str(program)` has written down; None if that is not what this is."""
    words = text.split()
    if len(words) != 3 or not (words[0].isdecimal() and words[1].isdecimal()):
        return None
    ospid = int(words[0])
    return Program(ospid, int(words[1]), words[2]) if 0 < ospid < 2**31 else None


def machine() -> str:
    """Where process ids mean what they mean here: this boot of this kernel, this namespace of process ids.
    Empty if the system does not tell; then nothing is proven."""
    return "" if not (boot := _boot()) else "/".join([boot, *_namespaces()])


@functools.cache
def _boot() -> str:
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


def since_boot() -> float:
    """Seconds of a clock that all programs of a machine share, is never set, and goes on while it sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _namespaces() -> Iterator[str]:
    for name in ("pid", "time"):  # start times are told by the clock of the reader's own namespace
        try:
            yield str(Path(f"/proc/self/ns/{name}").readlink()).removeprefix(f"{name}:")
        except OSError:
            yield ""


def _started(ospid: int) -> int | None:
    """When that process started, if /proc tells of it as it is known here; 0 if it has ended and nobody
    has asked how."""
    with suppress(OSError, ValueError, IndexError):
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return None  # the /proc of another namespace: the ids in it are others
        words = Path(f"/proc/{ospid}/stat").read_bytes().rpartition(b")")[2].split()
        ended = words[0] in (b"Z", b"X") and int(words[17]) <= 1  # no thread of it goes on without the first
        return 0 if ended else int(words[19])
    return None


def write_holder(lock: IO[str], program: Program) -> None:
    """Write down, in the open file of a lock, which process holds it, and which file it is."""
    lock.seek(0)
    lock.truncate()
    lock.write(f"{program}\n{_place_of(lock)}\n")
    lock.flush()


def holder_of(lock: Path) -> Program | None:
    """The process that holds, or held, a lock file; None if the file is not there or is a copy."""
    try:
        with lock.open("r") as file:
            who, _, place = file.read(4096).partition("\n")
            return program_of(who) if place.strip() == _place_of(file) else None
    except (OSError, UnicodeDecodeError):
        return None


def _place_of(file: IO[str]) -> str:
    """Which file it is, on which file system: one that was copied is another."""
    found = os.fstat(file.fileno())
    return f"{found.st_dev}:{found.st_ino}"
