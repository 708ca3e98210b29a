"""Who looks on from outside: `[metrics]` and `[traces]` in `quince.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quince.text import close_to

RANGE = 100
"""So many ports a host may use for its workers, from the one that was named on."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where workers serve their metrics.

    Attributes:
        port: The first of the ports of a host; each of its workers takes the first one that is free.
        host: The address that they listen on.
    """

    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Traces:
    """Where spans are sent to.

    Attributes:
        endpoint: URL of a collector; None: as OpenTelemetry's variables of the environment say.
    """

    endpoint: str | None = None


def metrics_of(settings: Mapping[str, Any] | None) -> Metrics | None:
    """What `[metrics]` says; None: there is none.

    Raises:
        ValueError: it says something impossible; says what.
    """
    if settings is None:
        return None
    _check("metrics", settings, {"port": int, "host": str})
    port = settings.get("port")
    if port is None:
        raise ValueError("[metrics] does not say at which port: port = 9464")
    if not 0 < port <= 65535:
        raise ValueError(f"[metrics] port must be 1 to 65535, not {port}")
    return Metrics(port, settings.get("host", "127.0.0.1"))


def traces_of(settings: Mapping[str, Any] | None) -> Traces | None:
    """What `[traces]` says; None: there is none.

    Raises:
        ValueError: it says something impossible; says what.
    """
    if settings is None:
        return None
    _check("traces", settings, {"endpoint": str})
    endpoint = settings.get("endpoint")
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"[traces] endpoint must be a URL of http or https, not {endpoint!r}")
    return Traces(endpoint)


def _check(table: str, settings: Mapping[str, Any], known: Mapping[str, type]) -> None:
    for name, value in settings.items():
        if name not in known:
            raise ValueError(
                f"[{table}] has a setting {name!r} that means nothing; it may have {' and '.join(known)}"
                f"{close_to(name, known)}"
            )
        if type(value) is not known[name]:
            kind = "text" if known[name] is str else "number"
            raise ValueError(f"[{table}] {name} must be a {kind}, not a {type(value).__name__}")
