"""The operating-system processes of a daemon, as they are seen from outside: until all of them are gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from quince.daemon.orphans import Orphan
from quince.interpreter import STEP_HOST, SUPERVISOR, TEMPLATE, WORKER, arguments_of, option_of
from quince.os_process import children_of, program_name

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
        """Each worker once: it stands for its step hosts, too."""
        members = self._alive()
        workers = {_worker_of(member) for member in members if _is_worker(member)}
        seen = [one for one in members if _is_worker(one) or _worker_of(one) not in workers]
        return ", ".join(sorted(map(_named, seen)))

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


def step_hosts_of(worker: int) -> int:
    """How many step hosts a worker has just now.

    Args:
        worker: Its process id, or that of one of its templates.
    """
    count = 0
    for child in children_of(worker):
        name = program_name(child)
        if name == TEMPLATE:  # which may have forked other ones
            count += step_hosts_of(child)
        elif name == STEP_HOST:  # what that has forked bears the name too, and is no child of a template
            count += 1
    return count


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
    """`worker-1`, `the daemon`, `a step host of worker-1`, or the program that a step has started."""
    if arguments_of(process.cmdline(), SUPERVISOR) is not None:
        return "the daemon"
    worker = _worker_of(process)
    if worker is None:
        return str(process.name())
    return worker if _is_worker(process) else f"a step host of {worker}"


def _worker_of(process: psutil.Process) -> str | None:
    """The name of the worker that this is, or of whose it is; None if it has a command line of its own."""
    with suppress(psutil.Error):
        words = process.cmdline()
        return option_of(words, "--name") if arguments_of(words, WORKER) else None
    return None


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return _worker_of(process) is not None and process.name() not in (TEMPLATE, STEP_HOST)
    return False
