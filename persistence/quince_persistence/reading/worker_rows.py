"""From a row of `workers` to a `WorkerRow`."""

from __future__ import annotations

from typing import Any

import msgspec

from quince_persistence.records import WorkerRow


def worker_row(row: Any, held: int = 0) -> WorkerRow:
    """Columns in the order of the table."""
    worker_id, host, ospid, name, queues, slots, lock, state, started, heartbeat, troubles = row[:11]
    return WorkerRow(
        worker_id,
        host,
        ospid,
        name,
        tuple(msgspec.json.decode(queues)),
        slots,
        lock,
        state,
        started,
        heartbeat,
        held,
        () if troubles is None else tuple(msgspec.json.decode(troubles)),
    )
