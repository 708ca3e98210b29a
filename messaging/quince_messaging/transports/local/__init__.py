"""The `local://DIR` transport: several processes of one machine, and no server."""

from __future__ import annotations

from quince_messaging.transports.local.transport import LocalTransport

__all__ = ["LocalTransport"]
