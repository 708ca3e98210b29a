"""The metrics of a worker over HTTP, from threads that hold up nothing of it."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from quince.errors import WorkspaceError
from quince.metrics.exposition import answer
from quince.metrics.targets import service_discovery
from quince.workspace.observation import RANGE, Metrics
from quince_persistence.errors import PersistenceError

AT_ONCE = 4
"""So many may ask at the same time; who else does is sent away."""
SECONDS = 5.0
"""For which one who asks may be silent."""
EVERYWHERE = ("", "0.0.0.0", "::")


class MetricsServer:
    """Serves `/metrics`, and `/targets`: where the workers of this store do, as Prometheus' `http_sd_configs`
    takes it.

    Args:
        targets: Says where: `host:port` of each.

    Attributes:
        address: `host:port` where it is reached.

    Raises:
        WorkspaceError: none of the ports is free, or the address is none of this host.
    """

    def __init__(
        self, settings: Metrics, registry: CollectorRegistry, targets: Callable[[], list[str]]
    ) -> None:
        self._server = _bound(settings, _handler(registry, targets))
        port = self._server.server_address[1]
        name = socket.getfqdn() if settings.host in EVERYWHERE else settings.host
        self.address = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.5,), name="quince-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _bound(settings: Metrics, handler: type[BaseHTTPRequestHandler]) -> _Server:
    last = min(settings.port + RANGE, 65536)
    for port in range(settings.port, last):
        try:
            return _Server((settings.host, port), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise WorkspaceError(
                    f"[metrics] of quince.toml: {settings.host}:{port} cannot be listened on: "
                    f"{error.strerror or error}"
                ) from error
    raise WorkspaceError(f"[metrics] of quince.toml: all ports {settings.port} to {last - 1} are taken")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False

    def __init__(self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in where[0]:
            self.address_family = socket.AF_INET6
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(where, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who has asked has gone."""


def _handler(registry: CollectorRegistry, targets: Callable[[], list[str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics" | "/":
                    self._answer(200, *answer(registry, self.headers.get("Accept", "")))
                case "/targets":
                    self._targets()
                case _:
                    self._answer(404, b"metrics are at /metrics\n", "text/plain; charset=utf-8")

        def _targets(self) -> None:
            try:
                found = targets()
            except PersistenceError:
                self._answer(503, b"the store does not answer\n", "text/plain; charset=utf-8")
                return
            self._answer(200, msgspec.json.encode(service_discovery(found)), "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody needs to hear of it."""

    return Handler
