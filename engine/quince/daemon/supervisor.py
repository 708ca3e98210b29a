"""The daemon's own process: keeps the wanted number of workers alive.

It does not touch the store or the broker, so nothing of theirs can take it down. SIGTERM drains all
workers and ends (a second one makes them leave), SIGHUP reads the wanted number again, SIGUSR1
replaces the workers one by one. It waits for nobody without a limit: a worker that cannot be started is
tried again, one that does not leave is killed, one that cannot be killed is left behind; the others go on,
and `quince daemon status` tells of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.report import DaemonReport, ReportFile, WorkerReport
from quince.daemon.worker_process import Limits, Stage, WorkerProcess
from quince.errors import DaemonError
from quince.interpreter import WORKER, command_line
from quince.logs import configure_logging
from quince.settings import SUPERVISOR_VARIABLE

_log = logging.getLogger("quince.daemon")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
LOOK_SECONDS = 0.5


@dataclass
class Place:
    """One place in the crew, and the processes that fill it.

    Attributes:
        fresh: The process that is to replace `worker`, while it is getting ready.
        failures: Deaths and failed starts in a row, for the pause before the next start.
        not_before: Time (monotonic) before which nothing is started here.
        trouble: Why nothing is at work here, in one sentence.
        replaced_by: Time (monotonic) by which a replacement has to be at work.
    """

    number: int
    worker: WorkerProcess | None = None
    fresh: WorkerProcess | None = None
    failures: int = 0
    not_before: float = 0.0
    trouble: str | None = None
    replaced_by: float = 0.0

    @property
    def name(self) -> str:
        return f"worker-{self.number}"

    def failed(self, why: str) -> float:
        """Nothing runs here: try again after a pause, which is returned; the first time at once."""
        self.failures += 1
        pause = 0.0 if self.failures <= 1 else min(FIRST_PAUSE * 2 ** (self.failures - 2), LONGEST_PAUSE)
        self.not_before = time.monotonic() + pause
        self.trouble = why
        return pause

    def look(self) -> Stage | None:
        """How its worker stands now; None if it has none."""
        if self.worker is None:
            return None
        before, now = self.worker.stage, self.worker.look()
        if before is Stage.STARTING and now is Stage.RUNNING:
            self.trouble = None
        return now

    @property
    def report(self) -> WorkerReport:
        """For those who look from outside."""
        worker = self.worker
        trouble = self.trouble or (worker.trouble if worker is not None else None)
        if worker is None:
            return WorkerReport(self.name, None, "to be started", self.failures, trouble)
        return WorkerReport(self.name, worker.ospid, worker.stage.value, self.failures, trouble)


class Supervisor:
    """Keeps workers alive until told to stop.

    Args:
        limits: How long it waits for a worker.
        command: What to start for a worker of a name; else a `quince worker` with the settings.
    """

    def __init__(
        self,
        files: DaemonFiles,
        settings: Settings,
        limits: Limits | None = None,
        command: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._files = files
        self._settings = settings
        self._limits = limits or Limits()
        self._limits.grant(settings.grace)
        self._command = command or self._quince_worker
        self._places: dict[int, Place] = {}
        self._leaving: list[WorkerProcess] = []
        self._to_replace: deque[int] = deque()
        self._replacing: Place | None = None
        self._awaited: WorkerProcess | None = None
        self._rolls = 0
        self._stops = 0
        self._reload = False
        self._replace = False
        self._trouble: str | None = None
        self._report_file = ReportFile(files.report)
        self._bell_out, self._bell_in = os.pipe()
        os.set_blocking(self._bell_in, False)
        os.set_blocking(self._bell_out, False)

    def run(self, report: int | None) -> None:
        """Until SIGTERM.

        Args:
            report: File descriptor for one line: `ready`, or why the workers cannot start.
        """
        signal.set_wakeup_fd(self._bell_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        problem = self._start_all()
        if report is not None:
            with contextlib.suppress(OSError):  # who asked for it has gone
                os.write(report, f"{problem or 'ready'}\n".encode())
            os.close(report)
        if problem is None:
            _log.info(
                "the daemon runs with %d workers",
                self._settings.workers,
                extra={"count": self._settings.workers},
            )
            while not self._stops and self._files.in_place:
                self.tend()
                self._sleep()
            if not self._stops:
                _log.error(
                    "the workspace's files were moved or removed: the daemon of %s ends",
                    self._files.folder,
                    extra={"file": str(self._files.folder)},
                )
        self._stop_all()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stops += 1
        elif number == signal.SIGHUP:
            self._reload = True
        elif number == signal.SIGUSR1:
            self._replace = True

    # The crew

    def _start_all(self) -> str | None:
        """Start the crew and wait until each is ready; the first complaint, or None."""
        self._fill_places()
        began = time.monotonic()
        while not self._stops:
            passed = time.monotonic() - began
            for place in self._places.values():
                if place.worker is None and time.monotonic() >= place.not_before:
                    self._start(place)
                if place.look() is Stage.ENDED and place.worker is not None:
                    return place.worker.complaint or f"{place.name} ended at once; see its log"
                if passed > (self._limits.refused if place.worker is None else self._limits.start):
                    return place.report.trouble or f"{place.name} does not start; see its log"
            self._tell()
            if all(place.look() is Stage.RUNNING for place in self._places.values()):
                return None
            self._sleep()
        return "the daemon was told to stop while it started"

    def tend(self) -> None:
        """One look at the crew: bury the dead, fill the places, follow new wishes. Never raises."""
        trouble = None
        for part in (self._hear, self._look_at_leavers, self._look_at_places, self._roll_on):
            try:
                part()
            except Exception as error:  # whatever it is, the workers need somebody who looks after them
                trouble = f"the daemon could not look after its workers ({type(error).__name__}: {error})"
                if trouble != self._trouble:
                    _log.exception("%s; it tries again", trouble, extra={"error": type(error).__name__})
        self._trouble = trouble
        self._tell()

    def _tell(self) -> None:
        try:
            self._report_file.write(self.report())
        except Exception as error:
            _log.debug("the report cannot be written: %s", error, extra={"error": type(error).__name__})

    def report(self) -> DaemonReport:
        """How everything stands."""
        leavers = tuple(
            WorkerReport(one.name, one.ospid, one.stage.value, trouble=one.trouble) for one in self._leaving
        )
        return DaemonReport(
            os.getpid(),
            tuple(place.report for place in self._places.values()) + leavers,
            rolling=bool(self._to_replace or self._replacing or self._awaited),
            rolls=self._rolls,
            troubles=() if self._trouble is None else (self._trouble,),
        )

    def _hear(self) -> None:
        """Follow what was asked for by signals."""
        if self._replace:
            self._read()
        if self._reload:
            self._reload = False  # before the reading: who asks again meanwhile is heard again
            try:
                self._read()
            except BaseException:
                self._reload = True
                raise
            _log.info(
                "now %d workers are wanted", self._settings.workers, extra={"count": self._settings.workers}
            )
            self._fill_places()
        if self._replace:
            self._replace = False
            self._to_replace.extend(
                number for number in sorted(self._places) if number not in self._to_replace
            )

    def _read(self) -> None:
        self._settings = self._files.read() or self._settings
        self._limits.grant(self._settings.grace)

    def _fill_places(self) -> None:
        for number in range(1, self._settings.workers + 1):
            self._places.setdefault(number, Place(number))
        for number in [number for number in self._places if number > self._settings.workers]:
            place = self._places.pop(number)
            for worker in (place.worker, place.fresh):
                self._dismiss(worker)

    def _dismiss(self, worker: WorkerProcess | None) -> None:
        """It is to leave, and nobody waits for it: its place may be filled anew, or is gone."""
        if worker is not None:
            worker.leave()
            self._leaving.append(worker)

    def _look_at_leavers(self) -> None:
        for worker in self._leaving:
            worker.look()
        self._leaving = [worker for worker in self._leaving if worker.stage is not Stage.ENDED]

    def _look_at_places(self) -> None:
        for place in list(self._places.values()):
            worker = place.worker
            if place.look() is Stage.ENDED and worker is not None:
                place.worker = None
                self._bury(place, worker)
            if place.worker is None and place.fresh is None and time.monotonic() >= place.not_before:
                self._start(place)

    def _bury(self, place: Place, worker: WorkerProcess) -> None:
        if worker.lived > LONGEST_PAUSE:
            place.failures = 0
        how = f"died (status {worker.returncode}) after {worker.lived:.1f} s"
        if worker.complaint is not None:
            how = f"cannot start: {worker.complaint}"
        pause = place.failed(f"{place.name} {how}")
        _log.warning(
            "%s %s; starting it again in %.1f s",
            place.name,
            how,
            pause,
            extra={"worker": place.name, "ospid": worker.ospid, "seconds": pause},
        )

    # Starting

    def _start(self, place: Place) -> None:
        place.worker = self._spawn(place)

    def _spawn(self, place: Place) -> WorkerProcess | None:
        """A process for a place; None if there can be none now, which is tried again after a pause."""
        try:
            return WorkerProcess.start(
                place.name,
                self._command(place.name),
                folder=self._files.folder,
                log=self._files.log(place.name),
                variables={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
                limits=self._limits,
            )
        except Exception as error:  # no process, no memory, no file, no room on the disk: it may pass
            told = place.trouble
            pause = place.failed(f"{place.name} cannot be started: {error}")
            _log.log(
                logging.DEBUG if place.trouble == told else logging.ERROR,
                "%s; trying again in %.1f s", place.trouble, pause,
            extra={"worker": place.name, "seconds": pause, "error": type(error).__name__})  # fmt: skip
            return None

    def _quince_worker(self, name: str) -> list[str]:
        queues = [word for queue in self._settings.queues for word in ("--queue", queue)]
        return command_line(
            WORKER, "worker", "--name", name, "--slots", str(self._settings.slots),
            "--folder", str(self._files.folder), *queues,
        )  # fmt: skip

    # Replacing

    def _roll_on(self) -> None:
        """Replace the workers one by one: each new one is at work before its old one drains, and only when
        that has ended, or cannot be waited for, it is the next one's turn."""
        if self._awaited is not None:
            leaves = self._awaited.stage in (Stage.LEAVING, Stage.HURRIED, Stage.KILLED)
            if leaves and not self._awaited.frozen:
                return
            self._awaited = None
            self._turn_over()
        if self._replacing is None:
            self._next_to_replace()
        if self._replacing is not None:
            self._replace_one(self._replacing)

    def _next_to_replace(self) -> None:
        while self._to_replace:
            place = self._places.get(self._to_replace.popleft())
            if place is not None and place.worker is not None:
                place.replaced_by = time.monotonic() + self._limits.start
                place.not_before = 0.0
                self._replacing = place
                return
            self._turn_over()

    def _turn_over(self) -> None:
        """One place is done with; after the last one, so is the whole turn."""
        if not self._to_replace and self._replacing is None:
            self._rolls += 1
            _log.info("the workers have been replaced", extra={"count": len(self._places)})

    def _replace_one(self, place: Place) -> None:
        if self._places.get(place.number) is not place:  # it is not wanted any more
            self._replacing = None
            self._turn_over()
            return
        now = time.monotonic()
        if place.fresh is None and now >= place.not_before:
            place.fresh = self._spawn(place)
        stage = place.fresh.look() if place.fresh is not None else None
        if stage is Stage.RUNNING:
            self._awaited, place.worker, place.fresh = place.worker, place.fresh, None
            place.trouble, place.failures = None, 0
            self._dismiss(self._awaited)
            self._replacing = None
            if self._awaited is None:
                self._turn_over()
        elif stage is Stage.ENDED or now > place.replaced_by:
            complaint = place.fresh.complaint if place.fresh is not None else place.trouble
            _log.error(
                "%s cannot be replaced, the old one stays: %s",
                place.name,
                complaint or "it hangs",
                extra={"worker": place.name},
            )
            place.trouble = f"{place.name} cannot be replaced, the old one stays: {complaint or 'it hangs'}"
            self._dismiss(place.fresh)
            place.fresh = self._replacing = None
            self._turn_over()

    # The end

    def _stop_all(self) -> None:
        """Have everybody leave; whoever cannot be made to is left behind."""
        try:
            self._read()
        except Exception as error:
            _log.warning(
                "how long steps may take is not known, so it is as before: %s",
                error,
                extra={"error": type(error).__name__},
            )
        for place in self._places.values():
            for worker in (place.worker, place.fresh):
                self._dismiss(worker)
        self._places.clear()
        self._to_replace.clear()
        told = max(self._stops, 1)
        self._look_at_leavers()
        while any(worker.stage is not Stage.UNSTOPPABLE for worker in self._leaving):
            if self._stops > told:
                told = self._stops
                for worker in self._leaving:
                    worker.leave()
            self._tell()
            self._sleep()
            self._look_at_leavers()
        _log.info("the daemon has stopped", extra={"ospid": os.getpid()})

    def _sleep(self) -> None:
        """Until a signal, the word of a worker that starts, or the next look."""
        starting = [
            worker.descriptor
            for place in self._places.values()
            for worker in (place.worker, place.fresh)
            if worker is not None and worker.descriptor is not None
        ]
        select.select([self._bell_out, *starting], [], [], LOOK_SECONDS)
        try:
            while os.read(self._bell_out, 4096):
                pass
        except BlockingIOError:
            return


def main(folder: str, report: str, settings: str) -> None:
    """The entry of the daemon's process (`python -m quince.daemon.supervisor FOLDER FD SETTINGS`)."""
    configure_logging()
    files, pipe = DaemonFiles(Path(folder)), int(report)
    wanted = msgspec.json.decode(settings, type=Settings)
    try:
        with files.hold():
            files.write(wanted)
            Supervisor(files, wanted).run(pipe)
    except DaemonError as error:
        _log.error("%s", error, extra={"error": type(error).__name__})
        with contextlib.suppress(OSError):  # it was told already that all is well
            os.write(pipe, f"{error}\n".encode())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
