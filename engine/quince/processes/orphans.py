"""Programs that a worker's steps have started and that have outlived it: found and killed by whoever notices.

As a rule the template of the step hosts kills them. If it was killed too, the mark remains: a variable in the
environment that the kernel shows of each program and that its forks, and what they execute, inherit.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

WORKER_VARIABLE = "QUINCE_STEP_OF"
"""The id of the worker of whose steps it is."""

LOOK_SECONDS = 0.005
WAIT_SECONDS = 0.2


def mark(worker_id: str) -> None:
    """Mark this program, and what it will fork or execute, as of the steps of a worker."""
    os.environ[WORKER_VARIABLE] = worker_id
    start, end = _environment_block()
    text = f"{WORKER_VARIABLE}={worker_id}".encode() + b"\0"
    if end - start >= len(text):
        for name, value in os.environb.items():
            os.putenv(name, value)  # C has a copy of all: it looks there no more
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, len(text))


def _environment_block() -> tuple[int, int]:
    """Where the environment lies that this program began with."""
    with suppress(OSError, IndexError, ValueError):
        words = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        return int(words[47]), int(words[48])
    return 0, 0


def end_orphans(worker_id: str) -> bool:
    """Kill what lives of the steps of a worker that has ended. False: something does not end."""
    named = f"{WORKER_VARIABLE}={worker_id}".encode()

    def is_of(ospid: int) -> bool:
        return named in variables_of(ospid)

    until = time.monotonic() + WAIT_SECONDS
    while left := [ospid for ospid in everybody() if is_of(ospid)]:
        if time.monotonic() > until:
            return False
        for number in (signal.SIGSTOP, signal.SIGKILL):  # who is stopped makes no others
            send(number, left, is_of)
        time.sleep(LOOK_SECONDS)
    return True


def everybody() -> Iterator[int]:
    """The process ids that there are."""
    with suppress(OSError):
        yield from (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def variables_of(ospid: int) -> list[bytes]:
    """The environment of a program, as far as we may see it."""
    with suppress(OSError):
        return Path(f"/proc/{ospid}/environ").read_bytes().split(b"\0")
    return []


def send(number: signal.Signals, ospids: Iterable[int], meant: Callable[[int], bool]) -> None:
    """Signal them; whoever has got one of these ids meanwhile is left alone."""
    for ospid in ospids:
        with suppress(OSError):
            descriptor = os.pidfd_open(ospid)
            try:
                if meant(ospid):
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
