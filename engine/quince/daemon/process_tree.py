"""The operating-system processes of a daemon, as they are seen from outside: until all of them are gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from quince.daemon.orphans import Orphan
from quince.interpreter import SUPERVISOR, WORKER, arguments_of, option_of

LOOK_SECONDS = 0.1


class ProcessTree:
    """A supervisor and all that it has started, and what an earlier one has left behind.

    Args:
        supervisor: Its process id; None if there is none.
    """

    def __init__(self, supervisor: int | None, left: Sequence[Orphan]) -> None:
        self._heads = _known([] if supervisor is None else [supervisor])
        self._left = _known([one.ospid for one in left])
        self._members: set[psutil.Process] = set()

    def __str__(self) -> str:
        return ", ".join(sorted(_named(member) for member in self._alive()))

    def terminate(self) -> None:
        """SIGTERM for the supervisor, which has the others leave."""
        _terminate(self._heads)

    def terminate_left(self) -> None:
        """SIGTERM for what an earlier supervisor has left."""
        _terminate(self._left)

    def kill(self) -> None:
        """SIGKILL for all of them; the supervisor first, or it would start others."""
        for member in [*self._heads, *self._alive()]:
            with suppress(psutil.Error):
                member.kill()

    def gone_within(self, seconds: float) -> bool:
        """Wait for the end of all of them, also of those that come meanwhile."""
        deadline = time.monotonic() + seconds
        while self._alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _alive(self) -> list[psutil.Process]:
        for top in (*self._heads, *self._left):
            with suppress(psutil.Error):
                self._members |= {top, *top.children(recursive=True)}
        self._members = {member for member in self._members if lives(member)}
        return list(self._members)


def lives(process: psutil.Process) -> bool:
    """It runs; one whose end nobody has asked for yet (a zombie) does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _known(ospids: Sequence[int]) -> list[psutil.Process]:
    found = []
    for ospid in ospids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(ospid))
    return found


def _terminate(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()


def _named(process: psutil.Process) -> str:
    try:
        return f"{_role(process)} (process {process.pid}, {process.status()})"
    except psutil.Error:
        return f"process {process.pid}"


def _role(process: psutil.Process) -> str:
    """`worker-1`, `the daemon`, or the program that a step has started."""
    words = process.cmdline()
    if arguments_of(words, SUPERVISOR) is not None:
        return "the daemon"
    named = option_of(words, "--name") if arguments_of(words, WORKER) else None
    return named or str(process.name())
