"""The templates of a worker: the one that it was started with, and one for each root whose modules import
much that is installed, which has imported that."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from quince.hosts.template import Alive, Ended, Fork, Forked, Keep, Ready, Warm, told
from quince.hosts.warm_modules import shadowed

LONGEST = 1 << 16

HEAVY_SECONDS = 0.05
"""An import that takes longer is worth a template."""

Told = Callable[[Forked | Ended], None]


class HostTemplates:
    """Forks hosts.

    Args:
        first: The worker's end of the link to the template that has imported nothing of users.
        folder: Of the workspace.
        on_told: Gets what templates tell.
        on_died: Gets the process ids of the hosts that have ended with a template.
        on_lost: Called when the first template has ended.
    """

    def __init__(
        self,
        first: socket.socket,
        folder: Path,
        *,
        on_told: Told,
        on_died: Callable[[Collection[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._on_told = on_told
        self._on_died = on_died
        self._first = _Template(first, on_told, lambda _: on_lost(), ready=True)
        self._warm: dict[str | None, _Template] = {}
        self._modules: dict[str | None, Sequence[str]] = {}

    def fork(self, root: str | None, fork: Fork, files: Sequence[int]) -> None:
        """Make a host; it is told how that went. The files may be closed on return."""
        template = self._warm.get(root)
        if template is None or self._is_shadowed(root, template.modules):
            template = self._first
        template.send(fork, files)

    def keep(self, worker: str, descriptor: int) -> None:
        """Have this file open as long as any host lives that is made from now on.

        Args:
            worker: The id of the worker.
        """
        for template in (self._first, *self._warm.values()):
            template.send(Keep(worker), [descriptor])

    def alive(self, known: float | None) -> None:
        """The worker lives: that is for the first template, which watches over all. From any thread."""
        self._first.send_now(Alive(known))

    def know(self, root: str | None, modules: Sequence[str], seconds: float) -> None:
        """The modules of a root import these, which took so long."""
        if modules and seconds > HEAVY_SECONDS:
            self._modules.setdefault(root, modules)

    def warm(self, root: str | None) -> None:
        """More hosts are made for this root: let them have in common what it imports, if that is much."""
        modules = self._modules.get(root)
        if not modules or root in self._warm or self._is_shadowed(root, modules):
            return
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._first.send(Warm(list(modules)), [its.fileno()])
        self._warm[root] = _Template(ours, self._on_told, self._ended, modules=modules)

    def cool(self, root: str | None) -> None:
        """What the root imports has changed, or nobody needs it any more."""
        self._modules.pop(root, None)
        template = self._warm.pop(root, None)
        if template is not None:
            self._take_over(template)
            template.leave()

    def close(self) -> None:
        """End them all, and kill what they have forked."""
        for template in (*self._warm.values(), self._first):
            template.close()

    def _ended(self, template: _Template) -> None:
        """Its modules cannot be shared, or something has killed it: hosts come from the first one."""
        self._on_died(template.hosts)
        for root, one in list(self._warm.items()):
            if one is template:
                del self._warm[root]
                self._modules[root] = ()  # it is not tried again
        self._take_over(template)

    def _take_over(self, template: _Template) -> None:
        """What it has not been told yet is done by the first one."""
        while template.waiting:
            what, files = template.waiting.popleft()
            if isinstance(what, Fork):
                self._first.send(what, files)
            _close(files)

    def _is_shadowed(self, root: str | None, modules: Sequence[str]) -> bool:
        return shadowed(modules, {Path(root or self._folder), self._folder})


class _Template:
    """One template, as its worker sees it. What cannot be sent yet waits."""

    def __init__(
        self,
        sock: socket.socket,
        on_told: Told,
        on_ended: Callable[[_Template], None],
        *,
        modules: Sequence[str] = (),
        ready: bool = False,
    ) -> None:
        self.modules = modules
        self.hosts: set[int] = set()
        self.waiting: deque[tuple[Fork | Keep | Warm, list[int]]] = deque()
        self._sock = sock
        self._on_told = on_told
        self._on_ended = on_ended
        self._ready = ready
        self._awaited = 0
        self._left = False
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)

    def send(self, what: Fork | Keep | Warm, files: Sequence[int]) -> None:
        """Send this, as soon as it is ready. The files may be closed on return."""
        self.waiting.append((what, [os.dup(one) for one in files]))
        self._writable()

    def send_now(self, what: Alive) -> None:
        """Send it; or not, if the template does not read."""
        with suppress(OSError):
            self._sock.send(msgspec.json.encode(what))

    def leave(self) -> None:
        """End when the last of its hosts has ended."""
        self._left = True
        self._close_if_left()

    def _close_if_left(self) -> bool:
        if self._left and not self._awaited and not self.hosts:
            self.close()
            return True
        return False

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        while self.waiting:
            _close(self.waiting.popleft()[1])

    def _writable(self) -> None:
        self._loop.remove_writer(self._sock)
        while self._ready and self.waiting:
            what, files = self.waiting[0]
            try:
                socket.send_fds(self._sock, [msgspec.json.encode(what)], files)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
                return
            except OSError:
                return  # it has gone, which is read
            self.waiting.popleft()
            self._awaited += isinstance(what, Fork)
            _close(files)

    def _readable(self) -> None:
        while True:
            try:
                data = self._sock.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._sock)
                self._on_ended(self)
                return
            what = told(data)
            if isinstance(what, Ready):
                self._ready = True
                self._writable()
                continue
            if isinstance(what, Ended):
                self.hosts.discard(what.ospid)
            else:
                self._awaited -= 1
                self.hosts |= {what.ospid} if what.ospid else set()
            self._on_told(what)
            if self._close_if_left():
                return


def _close(files: Sequence[int]) -> None:
    for one in files:
        with suppress(OSError):
            os.close(one)
