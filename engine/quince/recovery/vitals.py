"""How a worker is: the load of its host, and the memory that it and its steps take, as Linux tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from quince.interpreter import STEP_HOST
from quince.os_process import children_of, program_name
from quince_persistence.records.workers import Vitals

_PAGE = os.sysconf("SC_PAGE_SIZE")
MOST = 300
"""Programs that are looked at; a step that has started more makes the numbers smaller than they are."""


def vitals() -> Vitals:
    """Of the worker in this program. What cannot be found out is left out."""
    load: float | None = None
    with suppress(OSError):
        load = round(os.getloadavg()[0], 2)
    family = _family(os.getpid())
    memory = sum(_own_bytes(ospid) for ospid in family[1:]) + _bytes(os.getpid())[0]
    hosts = sum(program_name(ospid) == STEP_HOST for ospid in family[1:])
    return Vitals(load, os.cpu_count(), memory or None, _free(), hosts)


def _family(ospid: int) -> list[int]:
    """A program and all that it has started, and that these have."""
    family = [ospid]
    for one in family:
        if len(family) >= MOST:
            break
        family += children_of(one)
    return family[:MOST]


def _bytes(ospid: int) -> tuple[int, int]:
    """What a program has in memory, and how much of that it shares with others."""
    with suppress(OSError, ValueError, IndexError):
        _, resident, shared, *_ = Path(f"/proc/{ospid}/statm").read_text().split()
        return int(resident) * _PAGE, int(shared) * _PAGE
    return 0, 0


def _own_bytes(ospid: int) -> int:
    resident, shared = _bytes(ospid)
    return max(0, resident - shared)


def _free() -> int | None:
    """Bytes of memory that this host has left."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
