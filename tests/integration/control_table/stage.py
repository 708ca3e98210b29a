"""Where the cells are played: a place with two workers for most rows, and lonely ones for the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quince import ProcessHandle, Workspace, submit
from quince.client.notify import enqueue
from quince.settings import CONFIG
from quince.workspace.location import Location
from quince_persistence.codec import encode
from quince_persistence.records import NewProcess, Woken
from tests.crew import Crew, eventually
from tests.forked import ForkServer
from tests.services import Postgres, RabbitMQ

LINGER = 600.0

Servers = tuple[RabbitMQ, Postgres] | None


def nothing() -> None:
    """Nothing is to be done."""


@dataclass(frozen=True)
class Subject:
    """A process in the state of a row.

    Attributes:
        disturb: Done before the control: the worker is frozen, cut off, killed.
        release: What brings about that an accepted control is applied.
        gate: Opened when the cell has been played, so that nothing stays behind.
    """

    handle: ProcessHandle
    disturb: Callable[[], object] = nothing
    release: Callable[[], object] = nothing
    gate: Path | None = None


class Stage:
    """Two workers: of queue `default`, which keeps in memory what waits, and of queue `brief`, which does
    not. Nobody works for queue `nobody`."""

    def __init__(self, folder: Path, servers: Servers, forks: ForkServer) -> None:
        self.folder, self.servers, self.forks = folder, servers, forks
        self._places = itertools.count(1)
        self.location = self.fresh_place("stage")
        self.home = Workspace(self.location)
        self.crew = Crew(self.location, forks)
        self._numbers = itertools.count()
        self._scene: tuple[str, Any, ExitStack] | None = None

    def open(self) -> None:
        self.crew.start(slots=64, linger=LINGER)
        self.crew.start(slots=64, queues=("brief",), linger=0)

    def close(self) -> None:
        self.change_scene()
        self.crew.close()
        self.home.close()

    def fresh_place(self, name: str) -> Location:
        """A place of this backend that nobody has opened yet."""
        folder = self.folder / f"{name}-{next(self._places)}"
        folder.mkdir()
        (folder / CONFIG).write_text("kill_grace = 1\n")
        if self.servers is None:
            state = folder / ".quince"
            return Location(folder, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
        broker, database = self.servers
        return Location(folder, database.new_url(), broker.new_uri())

    def gate(self) -> Path:
        """A file that is not there yet."""
        return self.folder / f"gate-{next(self._numbers)}"

    def submit(self, flow: Any, queue: str = "default", **inputs: Any) -> ProcessHandle:
        return submit(flow, queue=queue, workspace=self.home, **inputs)

    def insert(self, class_path: str, queue: str, *, rung: bool) -> ProcessHandle:
        """As `submit` does, without importing the class; on the queue, or only in the store."""
        (pid,) = self.home.store.allocate_pids(1)
        self.home.store.insert([NewProcess(pid, class_path, encode({}), queue=queue)]).result()
        if rung:
            enqueue(self.home, [Woken(pid, None, queue, 0)])
        return ProcessHandle(pid, self.home)

    def held(self, home: Workspace, flow: Any, queue: str = "default") -> Subject:
        """A process in its first step, which ends when its gate is opened."""
        gate = self.gate()
        handle = submit(flow, gate=str(gate), queue=queue, workspace=home)
        eventually(gate.with_name(f"{gate.name}.here").exists, what="the first step")
        return Subject(handle, release=gate.touch, gate=gate)

    def scene(self, name: str, make: Callable[[Stage, ExitStack], Any]) -> Any:
        """What the cells of one row share, made for the first of them."""
        if self._scene is None or self._scene[0] != name:
            self.change_scene()
            with ExitStack() as stack:
                made = make(self, stack)
                self._scene = (name, made, stack.pop_all())
        return self._scene[1]

    def change_scene(self) -> None:
        """Another row begins: what the last one had started ends."""
        if self._scene is not None:
            scene, self._scene = self._scene, None
            scene[2].close()
