"""From a row of `workers` to a `WorkerRow`."""

from __future__ import annotations

from typing import Any

import msgspec

from quince_persistence.records import WorkerRow


def worker_row(row: Any, held: int = 0) -> WorkerRow:
    """Columns in the order of the table."""
    who, host, ospid, name, queues, slots, lock, state, started, heartbeat, troubles = row[:11]
    listed, said = _listed(queues), _listed(troubles or "[]")
    return WorkerRow(who, host, ospid, name, listed, slots, lock, state, started, heartbeat, held, said)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text))
