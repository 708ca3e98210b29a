"""Workers that have outlived their daemon: it was killed, and a long step keeps them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from quince.interpreter import option_of
from quince.os_process import holder_of
from quince.settings import SUPERVISOR_VARIABLE, host_name
from quince.workspace.location import Location


@dataclass(frozen=True, slots=True)
class Orphan:
    """A worker of a daemon that is gone.

    Attributes:
        name: As its daemon called it.
        ospid: Its process id.
    """

    name: str
    ospid: int

    def __str__(self) -> str:
        return f"{self.name} (process {self.ospid})"


def orphans(location: Location, daemon: int | None) -> list[Orphan]:
    """The workers of this workspace and host that a daemon started which is gone, by name.

    Neither the store nor the broker is asked. Workers in the foreground are nobody's orphans.

    Args:
        daemon: Process id of the daemon that runs now, whose workers are left out.
    """
    found = {_orphan(location, ospid, proven, daemon) for ospid, proven in _candidates(location)}
    return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.ospid))


def _candidates(location: Location) -> Iterator[tuple[int, bool]]:
    """Process ids in the names of the workers' lock files (`host:ospid:random`), and whether it is proven
    that they are those workers. Files of other machines or containers of this name are left out."""
    for lock in (location.state / "locks").glob(f"{glob.escape(host_name())}:*"):
        number = lock.name.split(":")[-2]
        program = holder_of(lock)
        if number.isdigit() and (program is None or program.runs()):
            yield int(number), program is not None


def _orphan(location: Location, ospid: int, proven: bool, daemon: int | None) -> Orphan | None:
    """What that process says of itself; its number may be in use by somebody else by now."""
    try:
        process = psutil.Process(ospid)
        words, supervisor = process.cmdline(), process.environ().get(SUPERVISOR_VARIABLE)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    ours = proven or option_of(words, "--folder") == str(location.folder)
    if supervisor in {None, str(daemon)} or not ours:
        return None
    return Orphan(option_of(words, "--name") or "worker", ospid)
