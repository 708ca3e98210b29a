"""A worker as its supervisor sees it: an operating-system process, from its start to its end.

Nothing here waits: whatever takes time has a limit, and each look finds out whether that is over.
"""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quince.os_process import is_stopped
from quince.private_files import open_private
from quince.settings import GRACE_SECONDS, NO_CEILING, READY_VARIABLE
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince.daemon")

LEAVE_SECONDS = 10.0
"""Seconds that a worker gets beyond those of its steps."""

MOST_SAID = 4_000
"""Bytes that are read of what a worker complains of."""


@dataclass(slots=True)
class Limits:
    """Seconds after which a worker is not waited for any more. All workers of a daemon share them.

    Attributes:
        start: From its start until it says that it is ready.
        refused: While the daemon starts: how long the system may refuse to start it.
        leave: From the first SIGTERM until the second one, with which it leaves what it is at.
        hurry: From the second SIGTERM until SIGKILL, and from there until it is given up.
    """

    start: float = 60.0
    refused: float = 10.0
    leave: float = GRACE_SECONDS + LEAVE_SECONDS
    hurry: float = 5.0

    @property
    def ceiling(self) -> bool:
        """Steps are not waited for for ever."""
        return self.leave < NO_CEILING

    def grant(self, grace: float | None) -> None:
        """Steps get so many seconds when their worker is to leave; None changes nothing."""
        if grace is not None:
            self.leave = grace + LEAVE_SECONDS


class Stage(enum.Enum):
    """What a worker's process is at."""

    STARTING = "starting"
    RUNNING = "running"
    LEAVING = "leaving"
    HURRIED = "told twice to leave"
    KILLED = "killed"
    UNSTOPPABLE = "unstoppable"
    ENDED = "ended"


LEAVES = {Stage.LEAVING, Stage.HURRIED, Stage.KILLED, Stage.UNSTOPPABLE}


class WorkerProcess:
    """One process. `look` finds out how it stands, and does what is due.

    Attributes:
        stage: As it was at the last look.
        descriptor: Where it says that it is ready; None if nothing is to be read there any more.
        complaint: Why it ended before it was ready; None if it was, or has not ended.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], ready: int, limits: Limits) -> None:
        self.name = name
        self.stage = Stage.STARTING
        self.complaint: str | None = None
        self._process = process
        self.descriptor: int | None = ready
        self._said = b""
        self._limits = limits
        self._began = time.monotonic()
        self._since = self._began

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path,
        variables: Mapping[str, str],
        limits: Limits,
    ) -> WorkerProcess:
        """Start a worker.

        Raises:
            OSError: the system does not give what it needs now; nothing is left of the attempt.
        """
        out, into = os.pipe()
        try:
            with open_private(log, "ab") as file:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=(into,), cwd=folder,
                    env={**variables, READY_VARIABLE: str(into)},
                )  # fmt: skip
        except BaseException:
            os.close(out)
            raise
        finally:
            os.close(into)
        os.set_blocking(out, False)
        _log.info("%(worker)s started as process %(ospid)d", worker=name, ospid=process.pid)
        return cls(name, process, out, limits)

    @property
    def ospid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._process.returncode

    @property
    def lived(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    @property
    def frozen(self) -> bool:
        """It is stopped (SIGSTOP), so that it hears of nothing but SIGKILL."""
        return is_stopped(self.ospid)

    def look(self) -> Stage:
        """How it stands now. One that should have left gets SIGTERM again, then SIGKILL, then is given up."""
        ended = self._process.poll() is not None
        if self.stage is Stage.STARTING or ended:
            self._read_first_word(ended)
        if ended:
            self._become(Stage.ENDED)
        elif self.stage in LEAVES and time.monotonic() - self._since >= self._patience:
            self._escalate()
        return self.stage

    def leave(self) -> None:
        """Have it drain and end (SIGTERM). Called again, it leaves at once (a second SIGTERM)."""
        if self.stage in LEAVES:
            self._escalate() if self.stage is Stage.LEAVING else None
        elif self.stage is not Stage.ENDED:
            self._signal(signal.SIGTERM)
            self._become(Stage.LEAVING)

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, in one sentence; None if nothing is."""
        who = f"{self.name} (process {self.ospid})"
        if self.stage is Stage.UNSTOPPABLE:
            return f"{who} does not end although it was killed, and is not waited for any more"
        if self.stage in LEAVES and self.frozen:
            return f"{who} is stopped (SIGSTOP) and does not leave; continue it (kill -CONT), or it is killed"
        if self.stage in (Stage.HURRIED, Stage.KILLED):
            return f"{who} did not leave within {self._limits.leave:g} s of SIGTERM, and is being ended"
        if self.stage is Stage.STARTING and self.lived > self._limits.start:
            return f"{who} is not ready {self._limits.start:g} s after its start; its log may say why"
        if self.frozen:
            return f"{who} is stopped (SIGSTOP) and does nothing; `kill -CONT {self.ospid}` lets it go on"
        return None

    @property
    def _patience(self) -> float:
        if self.stage is Stage.UNSTOPPABLE:
            return float("inf")
        return self._limits.leave if self.stage is Stage.LEAVING else self._limits.hurry

    def _escalate(self) -> None:
        if self.stage is Stage.LEAVING:
            self._signal(signal.SIGTERM)
            self._become(Stage.HURRIED)
        elif self.stage is Stage.HURRIED:
            _log.warning(
                "%(worker)s (process %(ospid)d) does not leave; it is killed",
                worker=self.name,
                ospid=self.ospid,
            )
            self._signal(signal.SIGKILL)
            self._become(Stage.KILLED)
        else:
            self._become(Stage.UNSTOPPABLE)
            _log.error("%(reason)s", reason=self.trouble, worker=self.name, ospid=self.ospid)

    def _become(self, stage: Stage) -> None:
        self.stage, self._since = stage, time.monotonic()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _read_first_word(self, ended: bool) -> None:
        """Read its first word: that it is ready, or why it never will be."""
        if self.descriptor is None:
            return
        over = ended
        try:
            chunk = os.read(self.descriptor, MOST_SAID)
            self._said += chunk
            over = over or not chunk or self._said.endswith(b"\n") or len(self._said) >= MOST_SAID
        except BlockingIOError:
            pass  # it says nothing yet
        if not over:
            return
        os.close(self.descriptor)
        self.descriptor = None
        word = self._said.decode(errors="replace").strip()
        if word != "ready":
            self.complaint = word or f"{self.name} ended before it was ready; see its log"
        elif self.stage is Stage.STARTING:
            self._become(Stage.RUNNING)
