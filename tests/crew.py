"""Real workers as real operating-system processes, for tests and benchmarks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.service import READY_VARIABLE
from engine.worker import LINGER_SECONDS
from engine.workspace import BROKER_VARIABLE, STORE_VARIABLE, Place

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


class WorkerProcess:
    """One `quince worker`, ready for work when the constructor returns."""

    def __init__(
        self, place: Place, name: str, slots: int, queues: tuple[str, ...], linger: float = LINGER_SECONDS
    ) -> None:
        self.log = place.state / "logs" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        out, into = os.pipe()
        command = [
            sys.executable, "-m", "engine.cli.main", "worker", "--name", name, "--slots", str(slots),
            "--folder", str(place.folder), "--linger", str(linger),
        ]  # fmt: skip
        for queue in queues:
            command += ["--queue", queue]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(place) | {READY_VARIABLE: str(into)},
                pass_fds=(into,),
                cwd=place.folder,
            )
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
    """Starts workers on one place, and leaves none behind."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.workers: list[WorkerProcess] = []

    def start(
        self,
        count: int = 1,
        *,
        slots: int = 8,
        queues: tuple[str, ...] = ("default",),
        linger: float = LINGER_SECONDS,
    ) -> list[WorkerProcess]:
        first = len(self.workers) + 1
        fresh = [
            WorkerProcess(self.place, f"test-worker-{n}", slots, queues, linger)
            for n in range(first, first + count)
        ]
        self.workers += fresh
        return fresh

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.thaw()
                worker.kill()


def environment(place: Place) -> dict[str, str]:
    """The environment of a program that works on this place and can import the tests' classes."""
    return {
        **os.environ,
        STORE_VARIABLE: place.store,
        BROKER_VARIABLE: place.broker,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def eventually(look: Callable[[], T], timeout: float = 30, what: str = "it") -> T:
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
