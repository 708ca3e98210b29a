"""Serving the pages: a socket of our own, the address printed once, an end by Ctrl-C."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM
from types import FrameType

import uvicorn

from quince.client.control import login
from quince.errors import EngineError
from quince.web.access import LOOPBACK, Access
from quince.web.app import make_app
from quince.web.declared import QuickMonitor
from quince.web.site import Site
from quince.workspace.workspace import Workspace

PATIENCE = 4
"""Seconds that pages that are being sent get at the end."""


def serve(home: Workspace, access: Access, port: int, say: Callable[[str], object]) -> None:
    """Serve the pages of a workspace until Ctrl-C or SIGTERM.

    Args:
        port: 0: some free one.
        say: Is told the address, with the token, when it answers.

    Raises:
        EngineError: the port is not free, or there is no such address here.
    """
    with _listening(access.host, port) as sock:
        _ = home.store  # it answers, or says now why not
        monitor = QuickMonitor(home)
        site = Site(home, monitor, access, login())
        config = uvicorn.Config(
            make_app(site), log_level="warning", access_log=False, server_header=False, date_header=False,
            lifespan="off", ws="none", timeout_graceful_shutdown=PATIENCE,
        )  # fmt: skip
        say(address(access, sock.getsockname()[1]))
        try:
            _Server(config, site).run(sockets=[sock])
        finally:
            monitor.close()


class _Server(uvicorn.Server):
    """A server that ends well at SIGINT and SIGTERM. (uvicorn's own raises them again when it has ended.)"""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._site.stopping.set()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (SIGINT, SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def address(access: Access, port: int) -> str:
    """Where a browser begins."""
    host = access.host
    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    if access.names and host not in LOOPBACK:
        host = min(access.names)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{access.base_path}/?token={access.token}"


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(128)
    except OSError as error:
        raise EngineError(
            f"cannot listen at {host}, port {port}: {error.strerror}; choose another one with --port"
        ) from error
    return sock
