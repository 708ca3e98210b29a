"""A RabbitMQ that listens with TLS, and certificates of an authority made for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services import RabbitMQ, free_port

_SETTINGS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/authority.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
"""


@dataclass(frozen=True, slots=True)
class TlsListener:
    """Where it listens; its certificate is for `localhost`, and not for `127.0.0.1`.

    Attributes:
        node: The node.
        port: Its port for TLS.
        authority: The authority's certificate.
        client, client_key: A client's certificate from that authority.
        stranger, stranger_key: One from an authority that the node does not know.
    """

    node: RabbitMQ
    port: int
    authority: Path
    client: Path
    client_key: Path
    stranger: Path
    stranger_key: Path

    def uri(self, host: str = "localhost", **options: object) -> str:
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"amqps://guest:guest@{host}:{self.port}/?{query}"


@contextmanager
def tls_listener(kind: type[RabbitMQ]) -> Iterator[TlsListener]:
    """A node of its own with a TLS listener; peers need no certificate, but a wrong one is refused."""
    port = free_port()

    def configure(folder: Path) -> str:
        for authority in ("authority", "other"):
            _make_authority(folder, authority)
        _issue(folder, "server", "authority", "subjectAltName=DNS:localhost")
        _issue(folder, "client", "authority", "extendedKeyUsage=clientAuth")
        _issue(folder, "stranger", "other", "extendedKeyUsage=clientAuth")
        return _SETTINGS.format(port=port, folder=folder)

    with kind(configure) as node:
        node.ctl("await_startup")  # its other port may answer before this one
        folder = node.folder
        pairs = (folder / f"{name}.{end}" for name in ("client", "stranger") for end in ("pem", "key"))
        yield TlsListener(node, port, folder / "authority.pem", *pairs)


def _make_authority(folder: Path, name: str) -> None:
    _openssl(folder, f"req -x509 {_NEW_KEY} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}")


def _issue(folder: Path, name: str, authority: str, extension: str) -> None:
    _openssl(folder, f"req {_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
    (folder / f"{name}.ext").write_text(f"{extension}\n")
    signed_by = f"-CA {authority}.pem -CAkey {authority}.key -CAcreateserial"
    _openssl(folder, f"x509 -req -in {name}.csr {signed_by} -days 2 -out {name}.pem -extfile {name}.ext")


_NEW_KEY = "-newkey rsa:2048 -nodes"


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
