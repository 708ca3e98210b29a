"""Processes with manners, and what they have told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quince import ProcessHandle, ProcessState, Workspace, submit
from quince.client.control import control
from quince_persistence.records import Control, Selection
from tests.crew import eventually
from tests.integration.stopping import flows

GRACE = 1.0
"""Seconds that a step has to end when it is killed."""


@dataclass
class Subject:
    """A process that has begun."""

    handle: ProcessHandle
    notes: Path

    @property
    def lines(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    @property
    def ospids(self) -> list[int]:
        """The operating-system processes that it has told of: its host first."""
        begun = [line for line in self.lines if line.startswith("begun")]
        return list(map(int, begun[-1].split()[1:])) if begun else []

    @property
    def deaths(self) -> list[str]:
        """What its history tells of hosts that have died."""
        return [event.body["text"] for event in self.handle.history() if event.kind == "death"]

    @property
    def cleaned(self) -> bool:
        return "cleaned" in self.lines

    def goes_on(self) -> bool:
        before = len(self.lines)
        eventually(lambda: len(self.lines) > before, what=f"another line of {self.notes.name}")
        return True

    def went_on(self, seconds: float) -> bool:
        """Whether it does so within this time, in which it does it often if it can."""
        before = len(self.lines)
        time.sleep(seconds)
        return len(self.lines) > before

    def gets_paused(self) -> None:
        eventually(lambda: self.handle.paused, what=f"the pause of {self.notes.name}")

    def ends_well(self) -> None:
        """Let one that counts come to its end."""
        Path(f"{self.notes}.gate").touch()
        assert self.handle.wait(30).state is ProcessState.FINISHED


class Scene:
    """Begins them."""

    def __init__(self, home: Workspace, folder: Path) -> None:
        self._home = home
        self._folder = folder

    def begin(self, manner: Callable[[Any], Any], flow: Any = None) -> Subject:
        """Submit one that has this manner."""
        if flow is None:
            flow = flows.Blocks if manner.__name__ in flows.BLOCKING else flows.Awaits
        notes = self._folder / f"{manner.__name__}-{len(list(self._folder.iterdir()))}"
        notes.touch()
        handle = submit(flow, manner=manner.__name__, notes=str(notes), workspace=self._home)
        return Subject(handle, notes)

    def begun(self, *manners: Callable[[Any], Any], flow: Any = None) -> list[Subject]:
        """The same, and wait until they are at it."""
        subjects = [self.begin(manner, flow) for manner in manners]
        for subject in subjects:
            eventually(lambda one=subject: one.ospids, what=f"the beginning of {subject.notes.name}")  # type: ignore[misc]
        return subjects

    def clear(self) -> None:
        """Nothing of it goes on."""
        control(self._home, Control.KILL, Selection(live=True), force=True)

    def beside(self, *manners: Callable[[Any], Any]) -> tuple[Subject, list[Subject]]:
        """Coroutines of one host: one that counts, and these, the last of which may stop the others."""
        self.begun(flows.end_at_once)[0].handle.wait(30)  # now it is known that they can share a host
        (counting,) = self.begun(flows.count)
        subjects = self.begun(*manners)
        assert {one.ospids[0] for one in subjects} <= {counting.ospids[0]}
        return counting, subjects

    def counting(self) -> list[Subject]:
        """A function and a coroutine that count."""
        return [*self.begun(flows.count_blocking), self.beside()[0]]


def condition(ospid: int) -> str:
    """`T`: stopped, `S`: sleeping, ...; nothing once it has gone."""
    try:
        found = Path(f"/proc/{ospid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if found == "Z" else found


def gone(*subjects: Subject, hosts: bool) -> None:
    """Wait until nothing runs any more of what they have told of.

    Args:
        hosts: Their hosts, too.
    """
    for subject in subjects:
        for ospid in subject.ospids[0 if hosts else 1 :]:
            eventually(lambda one=ospid: not condition(one), what=f"the end of {subject.notes.name}")  # type: ignore[misc]
