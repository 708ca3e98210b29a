"""Starting, stopping and asking the daemon: one for each workspace and host."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import psutil

from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.orphans import Orphan, orphans
from quince.daemon.process_tree import ProcessTree, lives
from quince.daemon.report import DaemonReport, ReportFile
from quince.errors import DaemonError
from quince.interpreter import SUPERVISOR, command_line, is_earlier
from quince.private_files import open_private
from quince.settings import (
    BROKER_VARIABLE,
    GRACE_SECONDS,
    LOG_FORMAT_VARIABLE,
    NO_CEILING,
    READY_VARIABLE,
    STORE_VARIABLE,
)
from quince.workspace.location import Location

START_SECONDS = 90.0
LAST_SECONDS = 20.0
"""Seconds in which a worker leaves, with programs to end, when its steps have had their time."""
HURRY_SECONDS = 5.0
"""Seconds until a process that ignores SIGTERM is killed, and until one that was killed is given up."""
LOOK_SECONDS = 0.1
QUIET_SECONDS = 3.0
"""Seconds of waiting after which a sentence says what is waited for."""


def _silent(_sentence: str) -> None:
    """For callers who want no sentences."""


def _unknown(_ospids: Sequence[int]) -> str:
    """For callers who cannot say what runs."""
    return ""


@dataclass(frozen=True, slots=True)
class DaemonState:
    """What is known of a daemon from outside.

    Attributes:
        ospid: The supervisor's process id, or None if no daemon runs.
        orphans: Workers of a daemon that was killed.
        report: What a daemon that runs says of its workers, if it could.
        elsewhere: A sentence about a daemon that runs on another host or in another container.
    """

    ospid: int | None
    settings: Settings | None
    orphans: Sequence[Orphan] = ()
    report: DaemonReport | None = None
    elsewhere: str | None = None

    @property
    def troubles(self) -> list[str]:
        """What is wrong with a daemon that runs, or with its workers, each in one sentence."""
        return self.report.all_troubles() if self.report is not None else []

    @property
    def survivors(self) -> str:
        """What is said of workers that have outlived their daemon; empty if there are none."""
        if not self.orphans:
            return ""
        names = ", ".join(map(str, self.orphans))
        lead = f"{names} of an earlier daemon" if self.running else f"the daemon was killed; {names}"
        return f"{lead} still {'live' if len(self.orphans) > 1 else 'lives'}"

    @property
    def running(self) -> bool:
        return self.ospid is not None


def state(location: Location) -> DaemonState:
    """Whether a daemon runs on this host, and with what settings."""
    files = DaemonFiles(location.folder)
    try:
        ospid = files.holder()
    except DaemonError as error:
        return DaemonState(None, files.read(), elsewhere=str(error))
    return DaemonState(ospid, files.read(), orphans(location, ospid), _report(files, ospid))


def start(location: Location, settings: Settings) -> int:
    """Start the daemon in the background; returns its process id when all workers are at work.

    Raises:
        DaemonError: one runs already, or a worker cannot start: one sentence that says why.
        WorkspaceError: nobody has made the store yet (`make_store` does), or it lives in memory.
    """
    location.require_shared()
    files = DaemonFiles(location.folder)
    running = files.holder()
    if running is not None:
        raise DaemonError(
            f"the daemon runs already (process {running}); `quince daemon scale N` changes its size"
        )
    location.require_made()
    out, into = os.pipe()
    environment = {
        **os.environ,
        STORE_VARIABLE: location.store,
        BROKER_VARIABLE: location.broker,
        LOG_FORMAT_VARIABLE: "json",
    }
    environment.pop(READY_VARIABLE, None)
    with open_private(files.log("daemon"), "ab") as log:
        process = subprocess.Popen(
            command_line(SUPERVISOR, str(location.folder), str(into), settings.text()),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, pass_fds=(into,),
            start_new_session=True, cwd=location.folder,
        )  # fmt: skip
    os.close(into)
    answer = _read_answer(out)
    if answer != "ready":
        process.wait(GRACE_SECONDS)
        raise DaemonError(answer or f"the daemon did not start; see {files.log('daemon')}")
    process.returncode = 0  # it is nobody's child from here on
    return process.pid


def stop(
    location: Location,
    timeout: float | None = None,
    say: Callable[[str], object] = _silent,
    runs: Callable[[Sequence[int]], str] = _unknown,
) -> bool:
    """Stop the daemon: steps that run get their time, then nothing of it is left.

    Workers that an earlier daemon left behind, because it was killed, are ended too.

    Args:
        timeout: Seconds for the steps that run; what they did not finish runs again. None: as was granted
            last, or `GRACE_SECONDS`. `NO_CEILING`: as long as they need.
        say: Gets a sentence when it takes more than a few seconds: what is waited for.
        runs: Says what runs in the workers of these process ids, or nothing.

    Returns:
        Whether there was anything to stop.

    Raises:
        DaemonError: something of it lives on, although it was killed; names it.
    """
    files = DaemonFiles(location.folder)
    ospid = files.holder()
    left = orphans(location, ospid)
    if ospid is None and not left:
        return False
    grace = _grant(files, timeout)
    tree = ProcessTree(ospid, left)
    tree.terminate()
    workers = [] if ospid is None else [child.pid for child in psutil.Process(ospid).children()]

    def what() -> str:
        return f"{_time_of(grace)} to end{runs([*workers, *(one.ospid for one in left)])}"

    if _ended(tree, grace + 1.0, say, what):
        return True
    tree.terminate_left()  # the death of their daemon was the first time
    if _ended(tree, LAST_SECONDS, say, lambda: f"they are cut off now, within {LAST_SECONDS:g} s"):
        return True
    tree.terminate()
    if not tree.gone_within(HURRY_SECONDS):
        tree.kill()
        if not tree.gone_within(HURRY_SECONDS):
            raise DaemonError(f"the daemon has not stopped: {tree} cannot be ended, not even by SIGKILL")
    return True


def _time_of(grace: float) -> str:
    """`steps that run have 30 s`."""
    return f"steps that run have {'as long as they need' if grace >= NO_CEILING else f'{grace:g} s'}"


def _ended(tree: ProcessTree, seconds: float, say: Callable[[str], object], why: Callable[[], str]) -> bool:
    """Whether all of them end in time; says whom it waits for if that is not soon."""
    quiet = min(seconds, QUIET_SECONDS)
    if tree.gone_within(quiet):
        return True
    if seconds > quiet:
        say(f"waiting for {tree}: {why()}")
    return tree.gone_within(seconds - quiet)


def scale(location: Location, workers: int, timeout: float | None = None) -> None:
    """Have so many workers from now on; those that are too many drain first.

    Args:
        timeout: Seconds for the steps that run in them, from now on.

    Raises:
        DaemonError: no daemon runs.
    """
    files, ospid = _running(location)
    _grant(files, timeout)
    settings = files.read() or Settings()
    files.write(msgspec.structs.replace(settings, workers=workers))
    with suppress(ProcessLookupError):
        os.kill(ospid, signal.SIGHUP)


def restart(
    location: Location,
    timeout: float | None = None,
    say: Callable[[str], object] = _silent,
    runs: Callable[[Sequence[int]], str] = _unknown,
) -> None:
    """Replace the workers one by one, each new one at work before its old one drains; returns when all are.

    A daemon of an earlier version, which would look for its own modules in vain, is stopped and started anew.

    Args:
        timeout: Seconds for the steps that run in each of them, from now on. `NO_CEILING`: as long as they
            need; all of them drain beside each other then.
        say: Gets a sentence whenever something has happened, and about what is waited for.
        runs: Says what runs in the workers of these process ids, or nothing.

    Raises:
        DaemonError: no daemon runs, it has ended meanwhile, or a worker cannot be replaced.
    """
    files, ospid = _running(location)
    if is_earlier(psutil.Process(ospid).cmdline(), SUPERVISOR):
        say("the daemon is of an earlier version of Quince: it is stopped, and started anew")
        stop(location, timeout, say, runs)
        start(location, files.read() or Settings())
        return
    grace = _grant(files, timeout)
    old = [child for child in psutil.Process(ospid).children() if lives(child)]
    rolls = (_report(files, ospid) or DaemonReport()).rolls
    with suppress(ProcessLookupError):
        os.kill(ospid, signal.SIGUSR1)

    def waits_for() -> str:
        ospids = [child.pid for child in old]
        names = f"process{'es' if len(ospids) > 1 else ''} {', '.join(map(str, ospids))}"
        return f"{names} of before: {_time_of(grace)}{runs(ospids)}" if ospids else "the new workers"

    waiting = _Waiting(say, waits_for)
    deadline = time.monotonic() + (len(old) + 1) * (START_SECONDS + grace + LAST_SECONDS)
    while True:
        for child in [child for child in old if not lives(child)]:
            old.remove(child)
            say(f"process {child.pid} has left; {_count(len(old))} of before")
        waiting.look()
        report = _report(files, ospid) or DaemonReport()
        if report.rolls > rolls and not report.rolling:
            if not old:
                return
            if trouble := report.all_troubles():
                raise DaemonError(f"not all workers are replaced: {'; '.join(trouble)}")
        if not old and not report.workers:
            return
        if files.holder() != ospid:
            raise DaemonError("the daemon has ended while its workers were being replaced")
        if time.monotonic() > deadline:
            left = ", ".join(str(child.pid) for child in old)
            raise DaemonError(f"the workers of before (processes {left}) have not left; see the daemon's log")
        time.sleep(LOOK_SECONDS)


class _Waiting:
    """Says from time to time what is waited for, if that is not what was said last."""

    def __init__(self, say: Callable[[str], object], what: Callable[[], str]) -> None:
        self._say, self._what = say, what
        self._due = time.monotonic() + QUIET_SECONDS
        self._said = ""

    def look(self) -> None:
        """Say it, if it is time."""
        if time.monotonic() < self._due:
            return
        if (what := self._what()) != self._said:
            self._say(f"waiting for {what}")
        self._said, self._due = what, time.monotonic() + QUIET_SECONDS


def _count(workers: int) -> str:
    return {0: "there is none left", 1: "there is 1 left"}.get(workers, f"there are {workers} left")


def _report(files: DaemonFiles, ospid: int | None) -> DaemonReport | None:
    """What the daemon of this process id says of itself; None if it says nothing (yet)."""
    report = ReportFile(files.report).read()
    return report if report is not None and report.process == ospid else None


def _grant(files: DaemonFiles, timeout: float | None) -> float:
    """Seconds for steps, for all who are to leave from now on; written down where workers and daemon look."""
    settings = files.read() or Settings()
    if timeout is not None:
        settings = msgspec.structs.replace(settings, grace=timeout)
        if files.settings.parent.is_dir():  # else its files were removed, and it ends already
            files.write(settings)
    return GRACE_SECONDS if settings.grace is None else settings.grace


def _running(location: Location) -> tuple[DaemonFiles, int]:
    files = DaemonFiles(location.folder)
    ospid = files.holder()
    if ospid is None:
        raise DaemonError(f"no daemon runs in {location.folder}; start it with `quince daemon start`")
    return files, ospid


def _read_answer(descriptor: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    text = b""
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        while time.monotonic() < deadline and not text.endswith(b"\n"):
            if select.select([pipe], [], [], 0.5)[0]:
                chunk = pipe.read(4096)
                if not chunk:
                    break
                text += chunk
    return text.decode(errors="replace").strip()
