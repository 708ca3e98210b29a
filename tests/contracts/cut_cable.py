"""A cable between a program and a server that can be cut at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType


class Cable:
    """Forwards TCP from a port of its own to a server.

    Attributes:
        port: Where to connect to.
        cuts: How often it has been cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._word = b""
        self._delivered = False
        self._then: Callable[[], object] = _nothing
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Cable:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        _close(*self._sockets)  # a program may have forgotten one
        for thread in self._threads:
            thread.join(timeout=10)

    def cut_at(self, word: bytes, *, delivered: bool, then: Callable[[], object] | None = None) -> None:
        """Cut the connection on which the program next sends this.

        Args:
            delivered: The server still gets it, and answers; the answer is what is lost.
            then: Called when it is lost, before the program sees that the connection is cut.
        """
        self._delivered, self._then, self._word = delivered, then or _nothing, word

    def _accept(self) -> None:
        while True:
            try:
                program, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:  # it is down just now
                _close(program)
                continue
            self._sockets += [program, server]
            gone = threading.Event()
            for target, args in (
                (self._upstream, (program, server, gone)),
                (self._downstream, (server, program, gone)),
            ):
                thread = threading.Thread(target=target, args=args, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _upstream(self, program: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := program.recv(1 << 16):
                if self._word and self._word in data:
                    self._word = b""
                    self.cuts += 1
                    cut.set()
                    if self._delivered:
                        server.sendall(data)
                        continue  # until the server's answer ends it
                    self._then()
                    break
                server.sendall(data)
        _close(program, server)

    def _downstream(self, server: socket.socket, program: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if cut.is_set():
                    self._then()
                    break
                program.sendall(data)
        _close(program, server)


def _nothing() -> None:
    """Nothing happens besides."""


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
