"""Whether the kernel has ended programs here for want of memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")


def memory_kills() -> int:
    """How many programs the kernel has ended for want of memory: of this control group if that can be read,
    else of this machine; 0 if neither can be."""
    file = _counter()
    return 0 if file is None else _count(file) or 0


@functools.cache
def _counter() -> Path | None:
    return next((file for file in _candidates() if _count(file) is not None), None)


def _count(file: Path) -> int | None:
    with suppress(OSError, ValueError):
        words = file.read_text().split()
        return int(words[words.index("oom_kill") + 1])
    return None


def _candidates() -> Iterator[Path]:
    """Where that may be counted. In a container the path of the control group may be that of the machine
    outside: then the group is the root of what is mounted."""
    lines: list[str] = []
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from (_MOUNT / path[1:] / "memory.events", _MOUNT / "memory.events")
        elif "memory" in controllers.split(","):
            memory = _MOUNT / "memory"
            yield from (memory / path[1:] / "memory.oom_control", memory / "memory.oom_control")
    yield Path("/proc/vmstat")
