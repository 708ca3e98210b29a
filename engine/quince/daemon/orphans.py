"""Workers that have outlived their daemon: it was killed, and a long step keeps them."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from quince.recovery.lease import written_in
from quince.settings import SUPERVISOR_VARIABLE, host_name
from quince.workspace.location import Location


@dataclass(frozen=True, slots=True)
class Survivor:
    """A worker of a daemon that is gone.

    Attributes:
        name: As its daemon called it.
        ospid: Its process id.
    """

    name: str
    ospid: int

    def __str__(self) -> str:
        return f"{self.name} (process {self.ospid})"


def survivors(location: Location, daemon: int | None) -> list[Survivor]:
    """The workers of this workspace and host that a daemon started which is gone, by name.

    Neither the store nor the broker is asked. Workers in the foreground are nobody's survivors.

    Args:
        daemon: Process id of the daemon that runs now, whose workers are left out.
    """
    found = {_survivor(location, ospid, proven, daemon) for ospid, proven in _candidates(location)}
    return sorted((one for one in found if one is not None), key=lambda one: (one.name, one.ospid))


def tell(members: Sequence[Survivor]) -> None:
    """Have workers leave: SIGTERM. (The death of their daemon was their first; this is the second.)"""
    for process in _processes(members):
        process.terminate()


def _candidates(location: Location) -> Iterator[tuple[int, bool]]:
    """Process ids in the names of the workers' lock files (`host:ospid:random`), and whether it is proven
    that they are those workers. Files of other machines or containers of this name are left out."""
    for lock in (location.state / "locks").glob(f"{glob.escape(host_name())}:*"):
        number = lock.name.split(":")[-2]
        program = written_in(lock)
        if number.isdigit() and (program is None or program.runs()):
            yield int(number), program is not None


def _survivor(location: Location, ospid: int, proven: bool, daemon: int | None) -> Survivor | None:
    """What that process says of itself; its number may be in use by somebody else by now."""
    try:
        process = psutil.Process(ospid)
        words, supervisor = process.cmdline(), process.environ().get(SUPERVISOR_VARIABLE)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    options = dict(itertools.pairwise(words))
    if supervisor in {None, str(daemon)} or not (proven or options.get("--folder") == str(location.folder)):
        return None
    return Survivor(options.get("--name", "worker"), ospid)


def _processes(members: Sequence[Survivor]) -> Iterator[psutil.Process]:
    for member in members:
        try:
            yield psutil.Process(member.ospid)
        except psutil.NoSuchProcess:
            continue
