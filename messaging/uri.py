"""What a broker URI says, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from messaging.errors import InvalidUri
from messaging.passwords import without_password

DEFAULT_PREFIX = "quince"
SCHEMES = ("amqp", "amqps", "local", "memory")

_ENCODING = (
    "its port must be a number; in a user name or a password @ is written %40, / %2F, ? %3F, # %23, : %3A "
    "and % %25"
)


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
    target: str = field(repr=False)
    shown: str
    prefix: str | None = None
    options: dict[str, str] = field(default_factory=dict, repr=False)


def parse_uri(uri: str) -> BrokerUri:
    """Read a URI. Raises InvalidUri, which says what is wrong with it."""
    scheme = uri.split(":", 1)[0]
    if scheme not in SCHEMES or "://" not in uri:
        raise InvalidUri(f"{without_password(uri)!r} is no broker URI: begin with one of {_schemes()}")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # what it says may quote the password
        raise InvalidUri(f"{without_password(uri)!r} is no broker URI: {_ENCODING}") from None
    options = dict(parse_qsl(parts.query))
    prefix = options.pop("prefix", None)
    if scheme in ("amqp", "amqps"):
        if not parts.hostname:
            raise InvalidUri(
                f"{without_password(uri)!r} names no host: write {scheme}://user:password@host:port/vhost"
            )
        if "@" in parts.path + parts.fragment:
            raise InvalidUri(f"{without_password(uri)!r} is no broker URI: {_ENCODING}")
        target = urlunsplit((scheme, parts.netloc, parts.path, urlencode(options), ""))
    else:
        target = unquote(uri.split("://", 1)[1].split("?", 1)[0])
        if not target:
            example = "local:///var/lib/quince" if scheme == "local" else "memory://tests"
            what = "folder" if scheme == "local" else "name"
            raise InvalidUri(f"{without_password(uri)!r} names no {what}: as in {example}")
        if scheme == "local":
            target = str(Path(target).expanduser().absolute())
    return BrokerUri(scheme, target, without_password(uri), prefix, options)


def _schemes() -> str:
    return ", ".join(f"{scheme}://" for scheme in SCHEMES)
