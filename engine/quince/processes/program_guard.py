"""Stands between a worker and one program of a step: when the worker dies, the program's whole family does.

It is run as a program of its own (`python program_guard.py PARENT REPORT SECONDS PROGRAM ...`) and imports
nothing of the engine. The program gets a session of its own; whatever it starts, and whatever of that makes
itself independent, stays a descendant of this process (a "child subreaper") and is found. What it hears:

- the end of the thread that started it (`PR_SET_PDEATHSIG`), or SIGUSR1: kill everything, now;
- SIGTERM: the same to the program's group, and after SECONDS kill everything;
- SIGTSTP, SIGCONT: stop the group, let it go on.

It ends as the program ends, with its status or by its signal, and leaves alone what a program that ended by
itself has left running.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

GUARD_VARIABLE = "QUINCE_GUARD"
"""In the environment of such a process, and not in that of its program."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
HEARD = {
    signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTSTP,
    signal.SIGCONT,
}  # fmt: skip
LOOK_SECONDS = 0.02
FOREVER = 86_400.0


def main(parent: int, report: int, seconds: float, words: Sequence[str]) -> NoReturn:
    """Guard one program until its end.

    Args:
        parent: Who has to live.
        report: Descriptor that is closed when the program has begun; else an error number comes first.
        seconds: From SIGTERM until everything is killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:
        os._exit(1)  # it died before we were bound to it
    os.environ.pop(GUARD_VARIABLE, None)
    program = _begin(words, report)
    os.close(report)
    _let_go_of_files()
    deadline = float("inf")
    while True:
        wait = min(deadline - time.monotonic(), FOREVER)
        heard = signal.sigtimedwait(HEARD, wait) if wait > 0 else None
        number = signal.SIGUSR1 if heard is None and deadline < float("inf") else heard and heard.si_signo
        if number == signal.SIGCHLD:
            status = _reaped().get(program)
            if status is not None:
                if deadline < float("inf"):
                    kill_all()  # what a program that was told to end has left behind
                _end_as(status)
        elif number == signal.SIGUSR1:
            _end_as(kill_all().get(program, signal.SIGKILL))
        elif number == signal.SIGTSTP:
            _signal_group(program, signal.SIGSTOP)
        elif number == signal.SIGCONT:
            _signal_group(program, signal.SIGCONT)
        elif number is not None:
            _signal_group(program, signal.SIGTERM)
            _signal_group(program, signal.SIGCONT)  # one that is suspended could not hear it
            deadline = min(deadline, time.monotonic() + seconds)


def _begin(words: Sequence[str], report: int) -> int:
    os.set_inheritable(report, False)
    guard = os.getpid()
    program = os.fork()
    if program:
        return program
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        os.execvp(words[0], list(words))
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(127)


def _let_go_of_files() -> None:
    """What the program reads and writes ends with it, and not with its guard."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def kill_all() -> dict[int, int]:
    """Kill all descendants, also those that come while that is done. Returns how they ended."""
    ended: dict[int, int] = {}
    while family := descendants():
        for number in (signal.SIGSTOP, signal.SIGKILL):  # who is stopped makes no others
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        time.sleep(LOOK_SECONDS)
        ended.update(_reaped())
    ended.update(_reaped())
    return ended


def descendants(of: Sequence[int] = ()) -> dict[int, str]:
    """All that live and that we may signal: their state, as `/proc` has it, by process id.

    Args:
        of: These, and their descendants; none: those of this program.
    """
    children: dict[int, list[int]] = {}
    states = {}
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{name}/stat") as file:  # noqa: PTH123 (`pathlib` takes long to import)
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            states[int(name)] = state
        children.setdefault(int(parent), []).append(int(name))
    found, family = list(of), {}
    if not of:
        found = children.get(os.getpid(), [])
    while found:
        pid = found.pop()
        found += children.get(pid, ())
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            if pid in states:
                family[pid] = states[pid]
    return family


def _reaped() -> dict[int, int]:
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            ended[one[0]] = one[1]
    return ended


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(OSError, ValueError):
            import resource  # noqa: PLC0415 (rarely needed, and programs wait for the imports above)

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if number != signal.SIGKILL:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
