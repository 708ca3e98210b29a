"""The `local://DIR` transport: several processes of one machine, and no server."""

from __future__ import annotations

from messaging.local.transport import LocalTransport

__all__ = ["LocalTransport"]
