"""A real nginx before the pages, with TLS, set up by the lines that docs/web.md shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.server import Server, plain_environment
from tests.services import ServiceMissing

PAGE = Path(__file__).parents[3] / "docs" / "web.md"
_AROUND = """
daemon off;
{user}
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{server}
}}
"""


class Nginx(Server):
    """A private nginx.

    Args:
        port: Where `quince web` listens.
    """

    name = "nginx"

    def __init__(self, port: int) -> None:
        super().__init__()
        found = shutil.which("nginx") or "/usr/sbin/nginx"
        if not Path(found).exists():
            raise ServiceMissing("nginx is not installed (Debian: apt-get install nginx-light)")
        self._binary, self._pages = found, port

    @property
    def origin(self) -> str:
        """How a browser calls it."""
        return f"https://lab.example:{self.port}"

    def _prepare(self) -> None:
        subject = "-subj /CN=lab.example -addext subjectAltName=DNS:lab.example"
        made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out certificate {subject}"
        subprocess.run(made.split(), cwd=self.folder, check=True, capture_output=True)
        server = _filled_in(
            {
                "127.0.0.1:8642": f"127.0.0.1:{self._pages}",
                "listen 443": f"listen 127.0.0.1:{self.port}",
                "/etc/ssl/certs/lab.example.pem": "certificate",
                "/etc/ssl/private/lab.example.key": "key",
            }
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_AROUND.format(server=server, user=user))

    def _launch(self) -> None:
        words = [self._binary, "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr"]
        self._spawn(self.name, words, plain_environment(self.folder))

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


def _filled_in(places: Mapping[str, str]) -> str:
    """The lines of the page for this machine."""
    (lines,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    text = str(lines)
    for shown, here in places.items():
        assert text.count(shown) == 1, shown
        text = text.replace(shown, here)
    return text
