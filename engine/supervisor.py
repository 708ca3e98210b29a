"""The daemon's own process: keeps the wanted number of workers alive.

It does not touch the store or the broker, so nothing of theirs can take it down. SIGTERM drains all
workers and ends (a second one makes them leave), SIGHUP reads the wanted number again, SIGUSR1
replaces the workers one by one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine.daemon import DaemonFiles, Settings
from engine.errors import DaemonError
from engine.service import READY_VARIABLE, SUPERVISOR_VARIABLE, configure_logging

_log = logging.getLogger("quince.daemon")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
START_SECONDS = 60.0


@dataclass
class Member:
    """One place in the crew, and the operating-system process that fills it now.

    Attributes:
        failures: Deaths in a row, for the pause before the next start.
        not_before: Time (monotonic) before which it is not started again.
    """

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    unwanted: bool = False
    ready: int | None = field(default=None)

    @property
    def name(self) -> str:
        return f"worker-{self.number}"


class Supervisor:
    """Keeps workers alive until told to stop."""

    def __init__(self, files: DaemonFiles, settings: Settings) -> None:
        self._files = files
        self._settings = settings
        self._crew: dict[int, Member] = {}
        self._stops = 0
        self._reload = False
        self._replace = False
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
            os.write(report, f"{problem or 'ready'}\n".encode())
            os.close(report)
        if problem is None:
            _log.info("the daemon runs with %d workers", self._settings.workers)
            while not self._stops:
                self._tend()
                self._sleep()
        self._stop_all()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stops += 1
        elif number == signal.SIGHUP:
            self._reload = True
        elif number == signal.SIGUSR1:
            self._replace = True

    def _start_all(self) -> str | None:
        """Start the crew and wait until each is ready; the first complaint, or None."""
        for number in range(1, self._settings.workers + 1):
            self._crew[number] = Member(number)
            self._start(self._crew[number])
        complaints = [
            complaint for m in self._crew.values() if (complaint := self._await_ready(m)) is not None
        ]
        return complaints[0] if complaints else None

    def _tend(self) -> None:
        """One look at the crew: bury the dead, fill the places, follow new wishes."""
        if self._reload:
            self._reload = False
            self._settings = self._files.read() or self._settings
            self._adjust()
        if self._replace:
            self._replace = False
            self._roll()
        for member in list(self._crew.values()):
            if member.process is not None and member.process.poll() is not None:
                self._bury(member)
            if member.process is None and member.unwanted:
                del self._crew[member.number]
            elif member.process is None and time.monotonic() >= member.not_before:
                self._start(member)

    def _adjust(self) -> None:
        wanted = self._settings.workers
        _log.info("now %d workers are wanted", wanted)
        for number in range(1, wanted + 1):
            member = self._crew.setdefault(number, Member(number))
            member.unwanted = False
        for number, member in self._crew.items():
            if number > wanted:
                member.unwanted = True
                self._signal(member, signal.SIGTERM)

    def _roll(self) -> None:
        """Replace each worker: the new one is ready before the old one drains."""
        for number in sorted(self._crew):
            old = self._crew[number]
            if self._stops or old.unwanted:
                continue
            fresh = Member(number)
            self._start(fresh)
            complaint = self._await_ready(fresh)
            if complaint is not None:
                _log.error("%s cannot be replaced, the old one stays: %s", old.name, complaint)
                continue
            self._crew[number] = fresh
            self._signal(old, signal.SIGTERM)
            if old.process is not None:
                self._wait_for(old)

    def _start(self, member: Member) -> None:
        out, into = os.pipe()
        command = [
            sys.executable, "-m", "engine.cli.main", "worker", "--name", member.name,
            "--slots", str(self._settings.slots), "--folder", str(self._files.folder),
        ]  # fmt: skip
        for queue in self._settings.queues:
            command += ["--queue", queue]
        environment = {**os.environ, READY_VARIABLE: str(into), SUPERVISOR_VARIABLE: str(os.getpid())}
        with self._files.log(member.name).open("ab") as log:
            member.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=(into,),
                cwd=self._files.folder,
            )  # fmt: skip
        os.close(into)
        if member.ready is not None:
            os.close(member.ready)
        member.ready = out
        member.started = time.monotonic()
        _log.info("%s started as process %d", member.name, member.process.pid)

    def _await_ready(self, member: Member) -> str | None:
        """Wait for a worker's first word; None if it is ready, else what it complains of."""
        assert member.ready is not None
        deadline = time.monotonic() + START_SECONDS
        text = b""
        while not self._stops and time.monotonic() < deadline:
            if select.select([member.ready], [], [], 0.2)[0]:
                chunk = os.read(member.ready, 4096)
                text += chunk
                if not chunk or text.endswith(b"\n"):
                    break
        os.close(member.ready)
        member.ready = None
        word = text.decode(errors="replace").strip()
        if word == "ready":
            return None
        return word or f"{member.name} ended before it was ready; see {self._files.log(member.name)}"

    def _bury(self, member: Member) -> None:
        assert member.process is not None
        status = member.process.returncode
        lived = time.monotonic() - member.started
        member.process = None
        if member.unwanted or self._stops:
            return
        member.failures = 0 if lived > LONGEST_PAUSE else member.failures + 1
        pause = 0.0 if member.failures <= 1 else min(FIRST_PAUSE * 2 ** (member.failures - 2), LONGEST_PAUSE)
        member.not_before = time.monotonic() + pause
        _log.warning(
            "%s died (status %s) after %.1f s; starting it again in %.1f s", member.name, status, lived, pause
        )

    def _stop_all(self) -> None:
        for member in self._crew.values():
            self._signal(member, signal.SIGTERM)
        told = 1
        while any(m.process is not None and m.process.poll() is None for m in self._crew.values()):
            self._sleep()
            if self._stops > told:
                told = self._stops
                for member in self._crew.values():
                    self._signal(member, signal.SIGTERM)
        _log.info("the daemon has stopped")

    def _wait_for(self, member: Member) -> None:
        while member.process is not None and member.process.poll() is None and not self._stops:
            self._sleep()

    def _sleep(self) -> None:
        """Until a signal, or the next look."""
        select.select([self._bell_out], [], [], 0.5)
        try:
            while os.read(self._bell_out, 4096):
                pass
        except BlockingIOError:
            return

    @staticmethod
    def _signal(member: Member, number: signal.Signals) -> None:
        if member.process is not None and member.process.poll() is None:
            member.process.send_signal(number)


def main(folder: str, report: str, settings: str) -> None:
    """The entry of the daemon's process (`python -m engine.supervisor FOLDER FD SETTINGS`)."""
    configure_logging()
    files, pipe = DaemonFiles(Path(folder)), int(report)
    wanted = msgspec.json.decode(settings, type=Settings)
    try:
        with files.hold():
            files.write(wanted)
            Supervisor(files, wanted).run(pipe)
    except DaemonError as error:
        _log.error("%s", error)
        with contextlib.suppress(OSError):  # it was told already that all is well
            os.write(pipe, f"{error}\n".encode())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
