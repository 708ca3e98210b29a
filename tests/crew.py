"""Real workers as real operating-system processes, for tests and benchmarks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from quince.settings import BROKER_VARIABLE, LINGER_SECONDS, READY_VARIABLE, STORE_VARIABLE
from quince.workspace.location import Location
from tests.forked import Forked, ForkServer

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


class WorkerProcess:
    """One `quince worker`, ready for work when the constructor returns.

    Args:
        within: A command that runs it (`unshare --pid ...`); then it is no fork.
    """

    def __init__(
        self,
        location: Location,
        name: str,
        slots: int,
        queues: tuple[str, ...],
        linger: float = LINGER_SECONDS,
        forks: ForkServer | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.log = location.state / "logs" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        out, into = os.pipe()
        words = [
            "worker", "--name", name, "--slots", str(slots),
            "--folder", str(location.folder), "--linger", str(linger),
        ]  # fmt: skip
        for queue in queues:
            words += ["--queue", queue]
        variables = environment(location) | {READY_VARIABLE: str(into)}
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            if forks is not None and not within and forks.can_run(variables):
                files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno(), into: into}
                self.process: subprocess.Popen[bytes] | Forked = forks.start(
                    words, cwd=location.folder, env=variables, files=files
                )
            else:
                self.process = subprocess.Popen(
                    [*within, sys.executable, "-m", "quince.cli.main", *words],
                    stdin=nothing, stdout=log, stderr=log,
                    env=variables, pass_fds=(into,), cwd=location.folder,
                )  # fmt: skip
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            readable, _, _ = select.select([pipe], [], [], 60)
            word = pipe.readline().decode().strip() if readable else ""
        if word != "ready":
            self.kill()
            raise RuntimeError(f"{name} did not start: {word}\n{self.log.read_text()}")

    def kill(self) -> None:
        """Signal 9."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 40) -> int:
        """SIGTERM, and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Crew:
    """Starts workers on one place, and leaves none behind.

    Args:
        forks: Where the workers are forked; without it, a Python is started for each.
        names: What the names of its workers, and of their logs, begin with.
    """

    def __init__(
        self, location: Location, forks: ForkServer | None = None, names: str = "test-worker"
    ) -> None:
        self.location = location
        self._names = names
        self._forks = forks
        self.workers: list[WorkerProcess] = []

    def start(
        self,
        count: int = 1,
        *,
        slots: int = 8,
        queues: tuple[str, ...] = ("default",),
        linger: float = LINGER_SECONDS,
        within: Sequence[str] = (),
    ) -> list[WorkerProcess]:
        first = len(self.workers) + 1
        fresh = [
            WorkerProcess(self.location, f"{self._names}-{n}", slots, queues, linger, self._forks, within)
            for n in range(first, first + count)
        ]
        self.workers += fresh
        return fresh

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.thaw()
                worker.kill()


def environment(location: Location) -> dict[str, str]:
    """The environment of a program that works on this place and can import the tests' classes."""
    return {
        **importing(),
        STORE_VARIABLE: location.store,
        BROKER_VARIABLE: location.broker,
    }


def importing() -> dict[str, str]:
    """The environment of a program that can import the tests' classes."""
    found = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(found)}


def eventually(look: Callable[[], T], timeout: float = 60, what: str = "it") -> T:
    """The first true answer of `look`, asked again and again.

    Raises:
        AssertionError: it did not come in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout:g} s"
        time.sleep(0.02)
