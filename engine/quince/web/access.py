"""Who may look and who may write: the token, the cookie, the names of this server, same origin."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BASE = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True)
class Access:
    """What one server asks of those who come to it.

    Attributes:
        host: The address it listens at.
        base_path: Before all its addresses (`/quince`), or empty.
        names: Further names under which it is reached, through a proxy for example.
        token: Whoever knows it may look and write.
    """

    host: str = "127.0.0.1"
    base_path: str = ""
    names: frozenset[str] = frozenset()
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __post_init__(self) -> None:
        if not _BASE.fullmatch(self.base_path) or "/.." in self.base_path:
            raise ValueError(f"{self.base_path!r} is no base path: write /quince, without a / at its end")

    @property
    def cookie(self) -> str:
        """The name of its cookie: another one for each server, as cookies know no ports."""
        return f"quince-{self._derived('name')[:10]}"

    @property
    def session(self) -> str:
        """What stands in the cookie of those who have shown the token."""
        return self._derived("session")

    @property
    def form_key(self) -> str:
        """What stands in every form of its pages, and in no others'."""
        return self._derived("form")

    def knows(self, token: str) -> bool:
        """Whether that is the token."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def may_look(self, cookies: Mapping[str, str], authorization: str) -> bool:
        """Somebody who has shown the token before, or shows it now (`Authorization: Bearer TOKEN`)."""
        scheme, _, token = authorization.partition(" ")
        return self.has_session(cookies) or (scheme.lower() == "bearer" and self.knows(token.strip()))

    def has_session(self, cookies: Mapping[str, str]) -> bool:
        """A browser that has shown the token before."""
        return hmac.compare_digest(cookies.get(self.cookie, "").encode(), self.session.encode())

    def is_named(self, host: str) -> bool:
        """Whether the `Host` of a request is this server: a page of others whose name was made to lead here
        (DNS rebinding) says another one."""
        name = _host_name(host)
        if name is None:
            return False
        if name in LOOPBACK or name in self.names or name == _plain(self.host):
            return True
        return not self._is_local and (_is_address(name) or name in _own_names())

    def is_same_origin(self, host: str, origin: str | None, site: str | None) -> bool:
        """Whether a page of this server has sent the request.

        Args:
            host, origin, site: Its `Host`, `Origin` and `Sec-Fetch-Site`.
        """
        if site is not None and site != "same-origin":
            return False
        if origin is None:
            return site == "same-origin"
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return False
        return parts.netloc.lower() == host.lower() or _host_name(parts.netloc) in self.names

    def is_of_our_form(self, key: str) -> bool:
        """Whether the key in a form is ours."""
        return hmac.compare_digest(key.encode(), self.form_key.encode())

    @property
    def _is_local(self) -> bool:
        return _plain(self.host) in LOOPBACK

    def _derived(self, word: str) -> str:
        return hmac.new(self.token.encode(), word.encode(), hashlib.sha256).hexdigest()


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _host_name(host: str) -> str | None:
    """The name in a `Host` header, without the port; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return None if parts.hostname is None else _plain(parts.hostname)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})
