"""The template: a program with one thread and nothing open, which is forked for each step host.

It is made from the worker before that has threads, sockets or signal handlers. It stays between the worker
and its hosts: it is told when to fork, tells how hosts have ended, and ends all of them, with whatever they
have started, when its worker ends. Whatever a host leaves behind comes to it (a "child subreaper"), and is
killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import msgspec

from quince.hosts.protected import protect
from quince.hosts.standstill import Standstill
from quince.hosts.warm_modules import import_them
from quince.interpreter import STEP_HOST, TEMPLATE
from quince.os_process import PR_SET_CHILD_SUBREAPER, PR_SET_NAME, PR_SET_PDEATHSIG, has_exec, prctl
from quince.processes.orphans import mark
from quince.processes.program_guard import descendants, kill_all

LONGEST = 1 << 16
MOST_FILES = 8
LOOK_SECONDS = 0.01
TICK_SECONDS = 0.5
"""By so many seconds the kernel may count the processor time otherwise than its limit."""
LEFT_SECONDS = 1.0
"""Seconds for which the end of a host is not told, if what it has left does not end when it is killed."""


class Fork(msgspec.Struct, tag="fork"):
    """Make a host. Its files come along: the socket to its worker first.

    Attributes:
        facts: What it is to know, encoded.
    """

    number: int
    facts: bytes


class Keep(msgspec.Struct, tag="keep"):
    """The worker has this id, and a file that comes along is to be open as long as any of its hosts lives."""

    worker: str


class Alive(msgspec.Struct, tag="alive"):
    """A sign of life; see `Standstill.heard`."""

    known: float | None = None


class Warm(msgspec.Struct, tag="warm"):
    """Make another template, which has imported these modules; its link to the worker comes along."""

    modules: list[str]


class Ready(msgspec.Struct, tag="ready"):
    """Such a template takes orders now. (One whose modules are not to be shared closes the link.)"""


class Forked(msgspec.Struct, tag="forked"):
    """A host was made; 0: it could not be (`error`)."""

    number: int
    ospid: int
    error: str = ""


class Ended(msgspec.Struct, tag="ended"):
    """A host has ended.

    Attributes:
        status: As `os.waitpid` has it.
        memory: Bytes that it had in memory at most.
        other_program: It had become another program (`os.exec`).
        out_of_time: It had all the processor time that its limit lets it have.
    """

    ospid: int
    status: int
    memory: int = 0
    other_program: bool = False
    out_of_time: bool = False


_asked = msgspec.json.Decoder(Fork | Keep | Alive | Warm)
_told = msgspec.json.Decoder(Forked | Ended | Ready)

Main = Callable[[list[int], bytes], None]
"""What a host runs: takes its files and its facts."""


def start(main: Main) -> socket.socket:
    """Fork a template off this program, which has one thread still.

    Args:
        main: What hosts run.

    Returns:
        The worker's end: it sends `Fork`, `Keep` and `Alive`, and gets `Forked` and `Ended`.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    find_spec("quince_no_such_module")  # what lies on the import path is listed once, and not in each host
    gc.freeze()
    if not os.fork():
        _never_return(lambda: _Template(its, parent, main).serve(), ours)
    its.close()
    gc.unfreeze()
    return ours


def _never_return(work: Callable[[], None], *unneeded: socket.socket) -> NoReturn:
    status = 1
    try:
        for one in unneeded:
            one.close()
        work()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


class _Template:
    def __init__(self, sock: socket.socket, parent: int, main: Main) -> None:
        self._sock = sock
        self._main = main
        self._parent = parent
        self._hosts: set[int] = set()
        self._ended: list[Ended] = []
        self._since = 0.0
        self._standstill = Standstill()
        os.setsid()  # no signal of a terminal comes here
        prctl(PR_SET_NAME, TEMPLATE.encode())
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # its end is that of the worker: of the socket
        if os.getppid() != parent:
            os._exit(1)

    def serve(self) -> None:
        """Until the worker has gone."""
        woken, wakes = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wakes, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(woken, select.POLLIN)
        self._own = [woken, wakes]
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(self._wait())]
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, LONGEST)
            self._reap()
            if self._sock.fileno() in ready and not self._take():
                kill_all()
                return

    def _wait(self) -> float | None:
        """Milliseconds until there is something to do that nobody tells."""
        if self._ended:
            return LOOK_SECONDS * 1000
        wait = self._standstill.look() if self._hosts else None
        return None if wait is None else wait * 1000 + 1

    def _take(self) -> bool:
        try:
            data, files, _, _ = socket.recv_fds(
                self._sock, LONGEST, MOST_FILES, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except ConnectionError:
            return False
        if not data:
            return False
        asked = _asked.decode(data)
        if isinstance(asked, Keep):
            mark(asked.worker)
            return True  # the descriptors stay open, here and in all that is forked
        if isinstance(asked, Alive):
            self._standstill.heard(asked.known)
            return True
        try:
            if isinstance(asked, Warm):
                self._fork(lambda template: self._be_template(template, asked, files[0]))
            else:
                ospid = self._fork(lambda template: self._be_host(template, asked, files))
                self._tell(Forked(asked.number, ospid))
        except OSError as error:
            if isinstance(asked, Fork):
                self._tell(Forked(asked.number, 0, str(error)))
        for one in files:
            os.close(one)
        return True

    def _fork(self, be: Callable[[int], None]) -> int:
        template = os.getpid()
        ospid = os.fork()
        if not ospid:
            _never_return(lambda: be(template))
        self._hosts.add(ospid)
        return ospid

    def _be_template(self, template: int, asked: Warm, link: int) -> None:
        self._forget()
        protect(self._parent)
        if import_them(asked.modules):
            one = _Template(socket.socket(fileno=link), template, self._main)
            one._tell(Ready())
            one.serve()

    def _be_host(self, template: int, asked: Fork, files: list[int]) -> None:
        os.setsid()
        prctl(PR_SET_NAME, STEP_HOST.encode())
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # whatever is left there comes to us when it has ended, not before
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != template:
            os._exit(1)
        self._forget()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        protect(template, self._parent)
        self._main(files, asked.facts)

    def _forget(self) -> None:
        """In a fork: what is this template's alone."""
        signal.set_wakeup_fd(-1)
        self._sock.close()
        for one in self._own:
            os.close(one)

    def _reap(self) -> None:
        """Tell of the hosts that have ended, as soon as all that they have left has ended, too."""
        with contextlib.suppress(ChildProcessError):
            while (one := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if one.si_pid in self._hosts:
                    with contextlib.suppress(OSError):
                        os.killpg(one.si_pid, signal.SIGKILL)  # before that number can be another's
                other, most = has_exec(one.si_pid), _processor_seconds(one.si_pid)
                _, status, usage = os.wait4(one.si_pid, 0)
                if one.si_pid in self._hosts:
                    self._hosts.discard(one.si_pid)
                    out_of_time = usage.ru_utime + usage.ru_stime >= most
                    self._ended.append(Ended(one.si_pid, status, usage.ru_maxrss * 1024, other, out_of_time))
                    self._since = time.monotonic()
        if self._ended and (not self._kill_left() or time.monotonic() - self._since > LEFT_SECONDS):
            ended, self._ended = self._ended, []
            for each in ended:
                self._tell(each)

    def _kill_left(self) -> bool:
        """Kill what hosts that have ended have left. True: there was something."""
        left = list(_children() - self._hosts)
        family = descendants(left) if left else {}
        for number in (signal.SIGSTOP, signal.SIGKILL):  # who is stopped makes no others
            for ospid in family:
                with contextlib.suppress(OSError):
                    os.kill(ospid, number)
        return bool(family)

    def _tell(self, what: Forked | Ended | Ready) -> None:
        with contextlib.suppress(OSError):  # it has gone: the next look at the socket says so
            self._sock.send(msgspec.json.encode(what))


def _children() -> set[int]:
    with contextlib.suppress(OSError):
        return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
    return set()


def _processor_seconds(ospid: int) -> float:
    """So many a program may have at most; that has ended, too, while nobody has waited for it."""
    with contextlib.suppress(OSError):
        hard = resource.prlimit(ospid, resource.RLIMIT_CPU)[1]
        return float("inf") if hard == resource.RLIM_INFINITY else hard - TICK_SECONDS
    return float("inf")


def told(data: bytes) -> Forked | Ended | Ready:
    """What a template has told."""
    what: Forked | Ended | Ready = _told.decode(data)
    return what
