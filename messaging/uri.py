"""What a broker URI says, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from messaging.errors import InvalidUri

DEFAULT_PREFIX = "quince"
SCHEMES = ("amqp", "amqps", "local", "memory")


@dataclass(frozen=True, slots=True)
class BrokerUri:
    """A parsed URI.

    Attributes:
        scheme: One of `SCHEMES`.
        target: For `local` the folder, for `memory` the name, for `amqp` the URI for the driver.
        prefix: From `?prefix=`, or None.
        shown: The URI without its password, for messages.
    """

    scheme: str
    target: str
    shown: str
    prefix: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def parse_uri(uri: str) -> BrokerUri:
    """Read a URI. Raises InvalidUri, which says what is wrong with it."""
    scheme = uri.split(":", 1)[0]
    if scheme not in SCHEMES or "://" not in uri:
        raise InvalidUri(f"{_safe(uri)!r} is no broker URI: begin with one of {_schemes()}")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:
        raise InvalidUri(f"{_safe(uri)!r} is no broker URI: {error}") from error
    options = dict(parse_qsl(parts.query))
    prefix = options.pop("prefix", None)
    if scheme in ("amqp", "amqps"):
        if not parts.hostname:
            raise InvalidUri(f"{_safe(uri)!r} names no host: write {scheme}://user:password@host:port/vhost")
        target = urlunsplit((scheme, parts.netloc, parts.path, urlencode(options), ""))
    else:
        target = unquote(uri.split("://", 1)[1].split("?", 1)[0])
        if not target:
            example = "local:///var/lib/quince" if scheme == "local" else "memory://tests"
            raise InvalidUri(f"{uri!r} names no {'folder' if scheme == 'local' else 'name'}: as in {example}")
        if scheme == "local":
            target = str(Path(target).expanduser().absolute())
    return BrokerUri(scheme, target, _safe(uri), prefix, options)


def _safe(uri: str) -> str:
    """The URI with its password hidden, even when it cannot be parsed."""
    head, separator, rest = uri.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not at:
        return uri
    user, colon, _ = credentials.partition(":")
    return f"{head}{separator}{user}{':***' if colon else ''}@{place}"


def _schemes() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES)
