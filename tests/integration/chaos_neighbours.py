"""Others who share what a run of chaos uses: containers of the same host name, and another project."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from quince import Workspace, submit_many
from quince.client.control import control
from quince.workspace.location import Location
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Control, Selection, State
from tests.crew import Crew, WorkerProcess
from tests.flows import Sleeper
from tests.integration.chaos_battle import SLOTS, Battle, Fault

NAMESPACES = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child=KILL")


class Namesakes:
    """Workers in containers of this host's name: other process ids, and a folder of locks of their own."""

    def __init__(self, battle: Battle) -> None:
        self._battle = battle
        self._workers: list[WorkerProcess] = []
        self._crew = Crew(battle.crew.location, names="namesake")

    def all(self) -> Sequence[Fault]:
        return [self.come_or_go] if can_unshare() else []

    def come_or_go(self) -> None:
        """One comes if there is none; else the one that is there is killed."""
        if self._workers:
            self._battle.story.fault(
                "a namesake killed", "a worker in a container of this host's name is killed"
            )
            self.close()
            return
        self._battle.story.fault("a namesake came", "a worker in a container of this host's name begins")
        locks = self._battle.location.state / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        hidden = f'mount -t tmpfs tmpfs {shlex.quote(str(locks))} && exec "$@"'
        self._workers = self._crew.start(1, slots=SLOTS, within=[*NAMESPACES, "sh", "-c", hidden, "sh"])

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers.clear()

    def wrong(self) -> list[str]:
        """They were never frozen: one that is declared dead while it lives was taken for somebody else."""
        if self._battle.silenced:
            return []
        return [
            f"{worker.log.name}: a worker that lived, in a container of this host's name, was declared dead"
            for worker in self._crew.workers
            if "was declared dead" in worker.log.read_text()
        ]


def can_unshare() -> bool:
    """Whether containers can be made here (by root, in most places)."""
    if os.geteuid() != 0:
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0


class OtherProject:
    """Another workspace, with a database of its own, on the same broker. It does what its people like, now
    and then to all of its processes; nothing of it concerns the first one.

    Args:
        place: With the broker of the battle.
    """

    def __init__(self, battle: Battle, location: Location) -> None:
        self._battle = battle
        self._crew = Crew(location)
        self._home = Workspace(location)

    def all(self) -> Sequence[Fault]:
        return [self.kill_all]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self._home, contextlib.closing(self._crew):
            self._crew.start(1, slots=SLOTS)
            yield

    def kill_all(self) -> None:
        """What `quince kill --all` does, there."""
        self._battle.story.fault("all killed next door", "the other project kills all of its processes")
        with contextlib.suppress(PersistenceError):  # its database may be away, as the first one's
            submit_many(Sleeper, [{"seconds": 60}] * 5, workspace=self._home)
            control(self._home, Control.KILL, Selection(live=True), reason="chaos next door")

    def settle(self, seconds: float) -> list[str]:
        """Let it come to its end. Returns what is wrong, one sentence each."""
        control(self._home, Control.KILL, Selection(live=True))
        pids = [row.pid for row in self._home.store.select(Selection())]
        self._home.watcher.wait(pids, lambda row: row.terminated, seconds)
        return [
            f"process {row.pid} of the other project is {row.state.value}: {row.exit_message}"
            for row in self._home.store.select(Selection())
            if row.state is not State.KILLED
        ]


def beside(location: Location, folder: Path, store: str) -> Location:
    """A workspace of its own that shares the broker."""
    folder.mkdir(parents=True, exist_ok=True)
    return Location(folder, store, location.broker)
