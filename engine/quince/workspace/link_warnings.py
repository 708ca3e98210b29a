"""Links to other hosts on which somebody could listen: told when a workspace is made, and by `status`."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from quince.workspace.location import Location
from quince_messaging.errors import MessagingError
from quince_messaging.uri import parse_uri
from quince_persistence.databases.database import parse
from quince_persistence.errors import PersistenceError

_ENCRYPTED = ("require", "verify-ca", "verify-full")


def store_warning(location: Location) -> str | None:
    """What is open on the way to the store; None if nothing is, or it is on this machine."""
    try:
        url = parse(location.store)
    except PersistenceError:
        return None
    if not url.drivername.startswith("postgresql"):
        return None
    host = str(url.host or url.query.get("host") or os.environ.get("PGHOST") or "")
    mode = str(url.query.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer")
    if _is_here(host) or mode in _ENCRYPTED:
        return None
    return (
        f"the link to {host} may be open (sslmode={mode}): who is on the way can read and change what is "
        "stored; add ?sslmode=verify-full to the URL of the store"
    )


def broker_warning(location: Location) -> str | None:
    """A sentence if the link to the broker can be read by others on the way; None if not."""
    try:
        uri = parse_uri(location.broker)
    except MessagingError:
        return None
    host = urlsplit(uri.target).hostname or "" if uri.scheme in ("amqp", "amqps") else ""
    if _is_here(host):
        return None
    if uri.scheme == "amqp":
        return (
            f"the link to {host} is open: who is on the way can read the password, and give orders; "
            "use amqps:// for the broker"
        )
    if uri.options.get("no_verify_ssl", "0") not in ("", "0"):
        return f"{host} may be anybody: no_verify_ssl is set, so its certificate is not checked"
    return None


def _is_here(host: str) -> bool:
    return host in ("", "localhost", "::1") or host.startswith(("/", "@", "127."))
