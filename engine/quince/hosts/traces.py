"""What steps leave behind in their program, found by a cheap comparison. Nothing is repaired: the host ends.

What a module does when it is imported belongs to it, and is there for all of its processes; also when a step
imports it: threads and files that appear meanwhile are taken for the module's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import asyncio
import atexit
import builtins
import decimal
import faulthandler
import gc
import json
import locale
import logging
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import Any

MOST_STEPS = 10_000
"""So many steps run in a host; then it is replaced, whatever it looks like."""

MOST_GROWTH = 512 << 20
"""Bytes of memory by which a host may grow after its modules were imported."""

LOOK_SECONDS = 0.1
"""Between two looks where steps run side by side."""

ENDING_SECONDS = 0.002
"""A thread, or a child, that has been joined may be seen for so long."""

OWN_THREADS = ("quince-",)
"""So the names of threads begin that are nobody's trace. (On a loop that steps share also `asyncio_`, those
of its `to_thread`.)"""

_LIMITS = (
    resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_CPU, resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_STACK,
)  # fmt: skip
_PAGE = resource.getpagesize()


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 (it is asked after each step)
    except OSError:
        return None


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _signals() -> Any:
    return (
        *map(_signal.getsignal, range(1, 32)),
        _signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    )


def _threads(own: tuple[str, ...]) -> Any:
    return frozenset(
        ident
        for ident, thread in list(threading._active.items())  # type: ignore[attr-defined]
        if not thread.name.startswith(own)
    )


def _children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class _OfKernel:
    """What the kernel counts for this program. Its folders are kept open: a look at them is quicker then."""

    def __init__(self) -> None:
        self._statm, self._threads, self._files = (
            os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("statm", "task", "fd")
        )

    def memory(self) -> int:
        """Bytes; 0 if that is not known."""
        with suppress(OSError, ValueError, IndexError):
            return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE
        return 0

    def native_threads(self) -> int:
        """Those that Python has not started."""
        return os.fstat(self._threads).st_nlink - len(threading._active)  # type: ignore[attr-defined]

    def descriptors(self) -> Any:
        """How many there are, which is the lowest that is free, what standard input is. (The others lead to
        a file of the process, and are led there for each step anew; see `step_output`.)"""
        count = os.fstat(self._files).st_size or len(os.listdir(self._files))  # noqa: PTH208
        return count, self._lowest_free(), _file(0)

    def _lowest_free(self) -> int:
        try:
            lowest = os.dup(self._statm)
        except OSError:
            return -1
        os.close(lowest)
        return lowest


def _file(descriptor: int) -> Any:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _logging() -> Any:
    root = logging.root
    return (
        root.level, *root.handlers, *root.filters, root.disabled, root.manager.disable,
        len(logging._handlerList), logging.getLoggerClass(), logging.getLogRecordFactory(),  # type: ignore[attr-defined]
    )  # fmt: skip


def _collector() -> Any:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)


def _interpreter() -> Any:
    return (
        sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile(), sys.excepthook,
        sys.unraisablehook, sys.displayhook, sys.get_int_max_str_digits(), threading.excepthook,
        threading.gettrace(), threading.getprofile(), tracemalloc.is_tracing(), faulthandler.is_enabled(),
        *sys.meta_path, *sys.path_hooks,
    )  # fmt: skip


_CLASSES = (socket.socket, threading.Thread, subprocess.Popen, json.JSONEncoder)
_FUNCTIONS = [
    (vars(one), itemgetter(*(name for name, value in vars(one).items() if callable(value))))
    for one in (builtins, os, time, select, socket, threading, subprocess, json, asyncio, *_CLASSES)
]


def _functions() -> Any:
    """What is patched now and then, for all that run in a program."""
    return [of(one) for one, of in _FUNCTIONS], [len(vars(one)) for one in _CLASSES]


def _decimals() -> Any:
    now = decimal.getcontext()
    return now.prec, now.rounding, now.Emin, now.Emax, now.clamp, tuple(now.traps.values())


def _rank() -> Any:
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), os.getresuid(), os.getresgid()


def _loop_policy() -> Any:
    """None is the one that asyncio makes."""
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    return None if type(policy).__module__.startswith("asyncio.") else policy


def _start_method() -> Any:
    context = sys.modules.get("multiprocessing.context")
    return context and context._default_context._actual_context


_SETTINGS: dict[str, Callable[[], Any]] = {
    "the working directory": _folder,
    "the umask": _umask,
    "the environment": lambda: dict(os.environ._data),  # type: ignore[attr-defined]
    "the locale": lambda: locale.setlocale(locale.LC_ALL),
    "the time zone": lambda: (time.timezone, time.tzname),
    "signal handlers, masks or timers": _signals,
    "the log configuration": _logging,
    "the warnings filters": lambda: (warnings.showwarning, *warnings.filters),
    "the garbage collector": _collector,
    "the interpreter": _interpreter,
    "functions of Python": _functions,
    "the standard streams": lambda: (sys.stdin, sys.stdout, sys.stderr),
    "the import path": lambda: list(sys.path),
    "the event loop policy": _loop_policy,
    "the default socket timeout": socket.getdefaulttimeout,
    "the decimal context": _decimals,
    "resource limits": lambda: [resource.getrlimit(limit) for limit in _LIMITS],
    "priority, processors or user": _rank,
    "functions for the exit": lambda: atexit._ncallbacks(),
    "multiprocessing's start method": _start_method,
}


def _left(kernel: _OfKernel, own: tuple[str, ...]) -> dict[str, Callable[[], Any]]:
    return {
        "threads": lambda: _threads(own),
        "native threads": kernel.native_threads,
        "child processes": _children,
        "file descriptors": kernel.descriptors,
    }


_OF_MODULES = {
    "the log configuration", "the warnings filters", "the import path", "functions for the exit",
    "native threads", "file descriptors",
}  # fmt: skip
"""What an import may change without harm to others; all else would be strange of a module that only one of
them imports."""


class Traces:
    """Tells what has been left behind since the modules were loaded.

    Args:
        shared: Steps run side by side, on one loop.

    Attributes:
        found: In words; nothing, as a rule.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.found: list[str] = []
        self._every = LOOK_SECONDS if shared else 0.0
        self._looked = 0.0
        self._steps = 0
        self._kernel = _OfKernel()
        self._left = _left(self._kernel, (*OWN_THREADS, "asyncio_") if shared else OWN_THREADS)
        self._settings: list[Any] = []
        self._things: list[Any] = []
        self._size = self._modules = 0

    def renew(self) -> None:
        """What there is now has been left by nobody."""
        self._settings = _look(_SETTINGS)
        self._things = _look(self._left)
        self._modules = len(sys.modules)
        self._size = self._kernel.memory()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """What changes inside the block belongs to the modules that are loaded there."""
        self._looked = 0.0
        self.look(others=True)
        try:
            yield
        finally:
            self.renew()

    def look(self, *, others: bool = False) -> list[str]:
        """What the steps that have ended have left, in words.

        Args:
            others: Others are at work; threads, children and files may be theirs.
        """
        self._steps += 1
        now = time.monotonic()
        if self.found or now < self._looked + self._every:
            return self.found
        self._looked = now
        settings = _look(_SETTINGS)
        found = [] if settings == self._settings else _changed(_SETTINGS, settings, self._settings)
        if not others:
            found += self._new_things()
        if len(sys.modules) < self._modules:
            found.append("fewer modules")
        if len(sys.modules) > self._modules and _OF_MODULES.issuperset(found):
            self.renew()
            found = []
        elif not found:
            self._modules = len(sys.modules)
        if self._kernel.memory() - self._size > MOST_GROWTH:
            found.append("memory")
        if self._steps >= MOST_STEPS:
            found.append(f"{MOST_STEPS} steps")
        self.found = found
        return found

    def _new_things(self) -> list[str]:
        until = time.monotonic() + ENDING_SECONDS
        while (things := _look(self._left)) != self._things:
            found = _changed(self._left, things, self._things)
            if not found or time.monotonic() > until:
                return found
            time.sleep(ENDING_SECONDS / 10)
        return []


def _look(probes: dict[str, Callable[[], Any]]) -> list[Any]:
    return [_value(probe) for probe in probes.values()]


def _value(probe: Callable[[], Any]) -> Any:
    try:
        return probe()
    except Exception as error:  # it cannot even be asked any more
        return type(error)


def _changed(probes: dict[str, Callable[[], Any]], now: list[Any], before: list[Any]) -> list[str]:
    """What is another than before. Threads that have ended have left nothing."""
    return [name for name, one, other in zip(probes, now, before, strict=True) if _differs(one, other)]


def _differs(now: Any, before: Any) -> bool:
    if isinstance(now, frozenset | int) and isinstance(before, frozenset | int):
        return not now <= before  # type: ignore[operator]
    return bool(now != before)
