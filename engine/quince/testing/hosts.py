"""Points in step hosts: a host dies, and its worker lives on."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from quince.hosts import host as host_module
from quince.hosts.host import StepHost
from quince.hosts.hosted_step import HostedStep
from quince.hosts.program import main
from quince.hosts.protocol import Done
from quince.hosts.stepper import StepEnd, Stepper
from quince.hosts.template import start
from quince.processes.execution import Execution
from quince.testing.faulty import Journal
from quince.testing.points import Point, When
from quince.testing.stand_in import stand_in
from quince.workspace.class_loader import ClassLoader


class HostPoints:
    """Counts the points that all hosts of one life pass, in a file that they share.

    Args:
        fatal: Where a host dies, as if it were killed by signal 9; None: nowhere.
    """

    def __init__(self, file: Path, fatal: Point | None = None) -> None:
        self._file = file
        self._fatal = fatal
        file.touch()

    @property
    def passed(self) -> list[Point]:
        """All points so far, in order."""
        turns: Counter[str] = Counter()
        points = []
        for line in self._file.read_text().splitlines():
            when, _, what = line.partition(" ")
            turns[line] += 1
            points.append(Point(what, When(when), turns[line], in_host=True))
        return points

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """This happens in the block."""
        self._pass(what, When.BEFORE)
        yield
        self._pass(what, When.AFTER)

    def _pass(self, what: str, when: When) -> None:
        with self._file.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{when.value} {what}\n")
            file.flush()
            reached = self.passed[-1]
        if reached == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class SharedJournal(Journal):
    """A journal that hosts write, too: which step a process is in stands in the file."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._path = file
        self._known: Counter[int] = Counter()

    def step_of(self, pid: int) -> str | None:
        begun = self.begun(self._path).get(pid, [])
        fresh = begun[self._known[pid] :]
        self._known[pid] = len(begun)
        return fresh[-1] if fresh else None


def start_template(points: HostPoints, journal: Path) -> socket.socket:
    """A template whose hosts pass these points, and write down which steps they begin. To be called while
    the program has one thread."""
    return start(partial(_be_host, points, journal))


def _be_host(points: HostPoints, file: Path, files: list[int], facts: bytes) -> None:
    journal = Journal(file)
    step, tell = Stepper.step, StepHost._tell

    async def noting(stepper: Stepper, execution: Execution) -> StepEnd:
        journal.began(execution)
        return await step(stepper, execution)

    def passing(host: StepHost, hosted: HostedStep, done: Done) -> None:
        execution = None if hosted.process is None else hosted.process.execution
        if hosted.told or execution is None or done.step is None or hosted.process is None:
            tell(host, hosted, done)
            return
        with points.around(f"answer of {type(execution.process).__name__}.{hosted.process.label or 'end'}"):
            tell(host, hosted, done)
            host._link.flush()

    stand_in(Stepper, "step", noting)
    stand_in(StepHost, "_tell", passing)
    stand_in(host_module, "ClassLoader", lambda *_: ClassLoader(Path.cwd()))  # as its worker has it
    main(files, facts)
