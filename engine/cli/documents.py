"""The JSON documents of `--json`: rows and values as plain JSON."""

from __future__ import annotations

import base64
import enum
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from engine.cli.wording import actual_state, iso
from persistence.records import EventRow, ProcessRow, WorkerRow


def row_document(row: ProcessRow) -> dict[str, Any]:
    """A process, as `ps --json` and `show --json` print it."""
    return {
        "pid": row.pid,
        "parent": row.parent,
        "root": row.root,
        "class": row.class_path,
        "state": actual_state(row).value,
        "paused": row.paused,
        "status": row.status,
        "step": row.step,
        "awaiting": row.awaiting,
        "signals": list(row.signals),
        "intent": None if row.intent is None else row.intent.value,
        "exit_status": row.exit_status,
        "exit_message": row.exit_message,
        "queue": row.queue,
        "priority": row.priority,
        "key": row.key,
        "worker": row.owner,
        "deaths": row.deaths,
        "due": iso(row.due),
        "created": iso(row.created),
        "updated": iso(row.updated),
        "ended": iso(row.ended),
    }


def event_document(event: EventRow) -> dict[str, Any]:
    """One line of a history."""
    body = {key: plain(value) for key, value in event.body.items() if key != "at"}
    return {"at": iso(event.at), "kind": event.kind, "author": event.author, **body}


def worker_document(worker: WorkerRow) -> dict[str, Any]:
    """A worker, as `status --json` prints it."""
    return {
        "id": worker.id,
        "name": worker.name,
        "host": worker.host,
        "process": worker.ospid,
        "state": worker.state,
        "queues": list(worker.queues),
        "slots": worker.slots,
        "held": worker.held,
        "started": iso(worker.started),
        "heartbeat": iso(worker.heartbeat),
        "troubles": list(worker.troubles),
    }


def plain(value: Any) -> Any:
    """A stored value as JSON has it: what JSON lacks becomes the nearest list, mapping or string."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(inner) for inner in value), key=str)
    return _foreign(value)


def _foreign(value: Any) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    if hasattr(value, "class_path") and hasattr(value, "pid"):  # a child in a context or an output
        return {"pid": value.pid, "class": value.class_path}
    return str(value)
