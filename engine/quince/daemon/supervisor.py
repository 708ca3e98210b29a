"""The daemon's own process: keeps the wanted number of workers alive.

It does not touch the store or the broker, so nothing of theirs can take it down. SIGTERM drains all
workers and ends (a second one makes them leave), SIGHUP reads the wanted number again, SIGUSR1
replaces the workers one by one. It waits for nobody without a limit: a worker that cannot be started is
tried again, one that does not leave is killed, one that cannot be killed is left behind; the others go on,
and `quince daemon status` says so.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.last_call import LastCall
from quince.daemon.pool import WorkerPool
from quince.daemon.report import DaemonReport, ReportFile
from quince.daemon.rolling_replacement import RollingReplacement
from quince.daemon.worker_process import Limits, Stage, WorkerProcess
from quince.errors import DaemonError, WorkspaceError
from quince.interpreter import WORKER, command_line
from quince.logs import configure_logging
from quince.rotation import check_sizes
from quince.settings import SUPERVISOR_VARIABLE
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.daemon")

LOOK_SECONDS = 0.5


class Supervisor:
    """Keeps workers alive until SIGTERM.

    Args:
        limits: How long it waits for a worker.
        command: The command line of the worker of a name; else of a `quince worker` with the settings.
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
        self._pool = WorkerPool(self._launch)
        self._rolling = RollingReplacement(self._pool, self._limits)
        self._last_call = LastCall(files.folder)
        self._stops = 0
        self._reload = False
        self._replace = False
        self._trouble: str | None = None
        self._report_file = ReportFile(files.report)
        self._wakeup_out, self._wakeup_in = os.pipe()
        os.set_blocking(self._wakeup_in, False)
        os.set_blocking(self._wakeup_out, False)

    def run(self, report: int | None) -> None:
        """Until SIGTERM.

        Args:
            report: File descriptor for one line: `ready`, or why the workers cannot start.
        """
        signal.set_wakeup_fd(self._wakeup_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        problem = self._start_all()
        if report is not None:
            with contextlib.suppress(OSError):  # who asked for it has gone
                os.write(report, f"{problem or 'ready'}\n".encode())
            os.close(report)
        if problem is None:
            _log.info("the daemon runs with %(count)d workers", count=self._settings.workers)
            while not self._stops and self._files.in_place:
                self.tend()
                self._sleep()
            if not self._stops:
                _log.error(
                    "the workspace's files were moved or removed: the daemon of %(file)s ends",
                    file=self._files.folder,
                )
        self._stop_all()

    def tend(self) -> None:
        """Look at the workers once: start those that have died, follow new requests. Never raises."""
        trouble = None
        for part in (
            self._follow_requests, self._pool.look_at_leaving, self._pool.keep_running, self._rolling.advance,
            self._files.rotate_logs, self._call_for_help,
        ):  # fmt: skip
            try:
                part()
            except Exception as error:  # whatever it is, the workers need somebody who looks after them
                trouble = f"the daemon could not look after its workers ({type(error).__name__}: {error})"
                if trouble != self._trouble:
                    _log.exception("%(reason)s; it tries again", error=error, reason=trouble)
        self._trouble = trouble
        self._write_report()

    def report(self) -> DaemonReport:
        """How everything stands."""
        return DaemonReport(
            os.getpid(),
            self._pool.reports,
            rolling=self._rolling.active,
            rolls=self._rolling.rounds,
            troubles=() if self._trouble is None else (self._trouble,),
        )

    def _call_for_help(self) -> None:
        self._last_call.look(self._pool.at_work, self._pool.trouble)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stops += 1
        elif number == signal.SIGHUP:
            self._reload = True
        elif number == signal.SIGUSR1:
            self._replace = True

    def _follow_requests(self) -> None:
        """Do what was asked for by signals."""
        if self._replace:
            self._read_settings()
        if self._reload:
            self._reload = False  # before the reading: who asks again meanwhile is heard again
            try:
                self._read_settings()
            except BaseException:
                self._reload = True
                raise
            _log.info("now %(count)d workers are wanted", count=self._settings.workers)
            self._pool.resize(self._settings.workers)
        if self._replace:
            self._replace = False
            self._rolling.begin()

    def _read_settings(self) -> None:
        self._settings = self._files.read() or self._settings
        self._limits.grant(self._settings.grace)

    def _write_report(self) -> None:
        try:
            self._report_file.write(self.report())
        except Exception as error:
            _log.debug("the report cannot be written: %(error)s", error=error)

    # Its beginning and its end

    def _start_all(self) -> str | None:
        """Start the workers and wait until each is ready; the first complaint, or None."""
        self._pool.resize(self._settings.workers)
        began = time.monotonic()
        while not self._stops:
            passed = time.monotonic() - began
            for worker in self._pool.wanted.values():
                if worker.process is None and worker.due:
                    worker.process = worker.start(self._launch)
                if worker.look() is Stage.ENDED and worker.process is not None:
                    return worker.process.complaint or f"{worker.name} ended at once; see its log"
                if passed > (self._limits.refused if worker.process is None else self._limits.start):
                    return worker.report.trouble or f"{worker.name} does not start; see its log"
            self._write_report()
            if all(worker.look() is Stage.RUNNING for worker in self._pool.wanted.values()):
                return None
            self._sleep()
        return "the daemon was told to stop while it started"

    def _stop_all(self) -> None:
        """Have all workers leave; one that cannot be made to is left behind."""
        try:
            self._read_settings()
        except Exception as error:
            _log.warning("how long steps may take is not known, so it is as before: %(error)s", error=error)
        self._rolling.cancel()
        self._pool.resize(0)
        followed = max(self._stops, 1)
        self._pool.look_at_leaving()
        while any(process.stage is not Stage.UNSTOPPABLE for process in self._pool.leaving):
            if self._stops > followed:
                followed = self._stops
                for process in self._pool.leaving:
                    process.leave()
            self._write_report()
            self._sleep()
            self._pool.look_at_leaving()
        _log.info("the daemon has stopped", ospid=os.getpid())

    def _sleep(self) -> None:
        """Until a signal, the first word of a worker that starts, or the next look."""
        select.select([self._wakeup_out, *self._pool.ready_pipes], [], [], LOOK_SECONDS)
        try:
            while os.read(self._wakeup_out, 4096):
                pass
        except BlockingIOError:
            return

    def _launch(self, name: str) -> WorkerProcess:
        return WorkerProcess.start(
            name,
            self._command(name),
            folder=self._files.folder,
            log=self._files.log(name),
            variables={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
            limits=self._limits,
        )

    def _quince_worker(self, name: str) -> list[str]:
        queues = [word for queue in self._settings.queues for word in ("--queue", queue)]
        return command_line(
            WORKER, "worker", "--name", name, "--slots", str(self._settings.slots),
            "--folder", str(self._files.folder), *queues,
        )  # fmt: skip


def main(folder: str, report: str, settings: str) -> None:
    """The entry of the daemon's process (`python -m quince.daemon.supervisor FOLDER FD SETTINGS`)."""
    files, pipe = DaemonFiles(Path(folder)), int(report)
    wanted = msgspec.json.decode(settings, type=Settings)
    try:
        configure_logging()
        check_sizes()
        with files.hold():
            files.write(wanted)
            Supervisor(files, wanted).run(pipe)
    except (DaemonError, WorkspaceError) as error:
        _log.error("%(error)s", error=error)
        with contextlib.suppress(OSError):  # it has been answered already
            os.write(pipe, f"{error}\n".encode())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
