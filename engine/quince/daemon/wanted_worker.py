"""A worker that is to be at work, and the operating-system processes that are it, one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quince.daemon.report import WorkerReport
from quince.daemon.worker_process import Stage, WorkerProcess
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.daemon")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0

Launch = Callable[[str], WorkerProcess]
"""Starts the process of the worker of a name. May raise anything."""


@dataclass
class WantedWorker:
    """One of the workers that a daemon keeps at work.

    Attributes:
        number: From 1 on; part of its name.
        process: What runs as this worker; None while nothing does.
        replacement: The process that is to take the place of `process`, while it is getting ready.
        failures: Deaths and failed starts in a row, for the pause before the next start.
        not_before: Time (monotonic) before which nothing is started.
        trouble: Why it is not at work, in one sentence.
    """

    number: int
    process: WorkerProcess | None = None
    replacement: WorkerProcess | None = None
    failures: int = 0
    not_before: float = 0.0
    trouble: str | None = None

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    @property
    def processes(self) -> Sequence[WorkerProcess]:
        """Those that there are: itself, and the one that is to replace it."""
        return [process for process in (self.process, self.replacement) if process is not None]

    @property
    def due(self) -> bool:
        """The pause after its last failure is over."""
        return time.monotonic() >= self.not_before

    def look(self) -> Stage | None:
        """The stage of its process now; None if it has none."""
        if self.process is None:
            return None
        before, now = self.process.stage, self.process.look()
        if before is Stage.STARTING and now is Stage.RUNNING:
            self.trouble = None
        return now

    def keep_running(self, launch: Launch) -> None:
        """Start its process again if that has ended, as soon as that is due."""
        process = self.process
        if self.look() is Stage.ENDED and process is not None:
            self.process = None
            self._ended(process)
        if self.process is None and self.replacement is None and self.due:
            self.process = self.start(launch)

    def start(self, launch: Launch) -> WorkerProcess | None:
        """A new process for it; None if there can be none now, which may be tried again when it is due."""
        try:
            return launch(self.name)
        except Exception as error:  # no process, no memory, no file, no room on the disk: it may pass
            before = self.trouble
            pause = self._failed(f"{self.name} cannot be started: {error}")
            _log.log(
                logging.DEBUG if self.trouble == before else logging.ERROR,
                "%(reason)s; trying again in %(seconds).1f s",
                worker=self.name,
                reason=self.trouble,
                seconds=pause,
                error=error,
            )
            return None

    def replace(self) -> WorkerProcess | None:
        """Have its replacement, which is at work, be its process; returns the one of before, if any."""
        before, self.process, self.replacement = self.process, self.replacement, None
        self.trouble, self.failures = None, 0
        return before

    @property
    def report(self) -> WorkerReport:
        """For those who look from outside."""
        process = self.process
        if process is None:
            return WorkerReport(self.name, None, "to be started", self.failures, self.trouble)
        trouble = self.trouble or process.trouble
        return WorkerReport(self.name, process.ospid, process.stage.value, self.failures, trouble)

    def _ended(self, process: WorkerProcess) -> None:
        if process.lived > LONGEST_PAUSE:
            self.failures = 0
        how = f"died (status {process.returncode}) after {process.lived:.1f} s"
        if process.complaint is not None:
            how = f"cannot start: {process.complaint}"
        pause = self._failed(f"{self.name} {how}")
        _log.warning(
            "%(worker)s %(reason)s; starting it again in %(seconds).1f s",
            worker=self.name,
            ospid=process.ospid,
            seconds=pause,
            reason=how,
        )

    def _failed(self, why: str) -> float:
        """Nothing runs: seconds until the next start, none the first time."""
        self.failures += 1
        pause = 0.0 if self.failures <= 1 else min(FIRST_PAUSE * 2 ** (self.failures - 2), LONGEST_PAUSE)
        self.not_before = time.monotonic() + pause
        self.trouble = why
        return pause
