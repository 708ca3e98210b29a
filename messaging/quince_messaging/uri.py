"""What a broker URI says, and how it is shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit, urlunsplit

from quince_messaging.errors import InvalidUri
from quince_messaging.passwords import without_password

DEFAULT_PREFIX = "quince"
SCHEMES = ("amqp", "amqps", "local", "memory")

_RESERVED = re.compile(r"[%?#\x00-\x1f\x7f\udc80-\udcff]")
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


def folder_uri(folder: Path | str) -> str:
    """The URI of the messages in a folder; what has a meaning in a URI is written as `%XX`."""
    text = _RESERVED.sub(lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), str(folder))
    return f"local://{text}"


def folder_of(uri: str) -> Path | None:
    """The folder of a `local:` URI, as it is written there (also relative); None if it is no such URI."""
    scheme, separator, rest = uri.partition("://")
    name = _unquoted(rest.partition("?")[0])
    return Path(name) if scheme == "local" and separator and name else None


def parse_uri(uri: str) -> BrokerUri:
    """Read a URI. Raises InvalidUri, which says what is wrong with it."""
    if not isinstance(uri, str):
        raise InvalidUri(f"{uri!r} is no broker URI: it must be a text, as amqp://user:password@host/vhost")
    scheme = uri.split(":", 1)[0]
    if scheme not in SCHEMES or "://" not in uri:
        schemes = ", ".join(f"{one}://" for one in SCHEMES)
        raise InvalidUri(f"{without_password(uri)!r} is no broker URI: begin with one of {schemes}")
    return _with_host(scheme, uri) if scheme in ("amqp", "amqps") else _without_host(scheme, uri)


def _with_host(scheme: str, uri: str) -> BrokerUri:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # what it says may quote the password
        raise InvalidUri(f"{without_password(uri)!r} is no broker URI: {_ENCODING}") from None
    options = dict(parse_qsl(parts.query))
    prefix = options.pop("prefix", None)
    if not parts.hostname:
        raise InvalidUri(
            f"{without_password(uri)!r} names no host: write {scheme}://user:password@host:port/vhost"
        )
    if "@" in parts.path + parts.fragment:
        raise InvalidUri(f"{without_password(uri)!r} is no broker URI: {_ENCODING}")
    target = urlunsplit((scheme, parts.netloc, parts.path, urlencode(options), ""))
    return BrokerUri(scheme, target, without_password(uri), prefix, options)


def _without_host(scheme: str, uri: str) -> BrokerUri:
    rest, mark, query = uri.split("://", 1)[1].partition("?")
    target = _unquoted(rest)
    options = dict(parse_qsl(query, keep_blank_values=True))
    prefix = options.pop("prefix", None)
    if not target:
        example = "local:///var/lib/quince" if scheme == "local" else "memory://tests"
        what = "folder" if scheme == "local" else "name"
        raise InvalidUri(f"{uri!r} names no {what}: as in {example}")
    if mark and (options or not prefix):
        raise InvalidUri(
            f"{uri!r} asks for {query!r}, and there is prefix=... only; in the name of a folder ? is written "
            "%3F, and % %25"
        )
    if scheme == "local":
        target = str(Path(target).expanduser().absolute())
    return BrokerUri(scheme, target, without_password(uri), prefix, options)


def _unquoted(text: str) -> str:
    return os.fsdecode(unquote_to_bytes(os.fsencode(text)))
