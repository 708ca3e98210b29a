"""The JSON documents of `--json`: rows and values as plain JSON."""

from __future__ import annotations

import base64
import enum
import math
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from quince.messages import status_of
from quince.moments import iso
from quince.monitor.words import actual_state
from quince_persistence.codec import UnreadableValue, fields_of
from quince_persistence.records import EventRow, ProcessRow
from quince_persistence.records.workers import WorkerRow


def row_document(row: ProcessRow, started: Mapping[int, float | None] | None = None) -> dict[str, Any]:
    """A process, as `ps --json` and `show --json` print it.

    Args:
        started: When processes were first taken up, by pid; left out if nobody asked.
    """
    return {
        **status_of(row),
        "state": actual_state(row).value,
        "parent": row.parent,
        "root": row.root,
        "intent": None if row.intent is None else row.intent.value,
        "queue": row.queue,
        "priority": row.priority,
        "key": row.key,
        "labels": dict(row.options.labels),
        "limits": list(row.options.limits),
        "granted": row.granted,
        "cached_from": row.options.cached_from,
        "deaths": row.deaths,
        "restart_of": row.options.restart_of,
        "due": iso(row.due),
        "attempt": row.attempt,
        "deadline": iso(row.deadline),
        "created": iso(row.created),
        **({} if started is None else {"started": iso(started.get(row.pid))}),
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
        "metrics": worker.metrics,
    }


def plain(value: Any) -> Any:
    """A stored value as JSON has it: what JSON lacks becomes the nearest list, mapping or string."""
    return _Plain().of(value)


DEEPEST = 100
MOST = 2_000_000
_DIGITS = 14_000
"""Bits of a number of which Python still makes a decimal text."""
_LEFT_OUT = "..."


class _Plain:
    """One value on its way to JSON; what contains itself, or is far too much, is cut."""

    def __init__(self) -> None:
        self._around: set[int] = set()
        self._left = MOST

    def of(self, value: Any) -> Any:
        self._left -= 1
        if value is None or type(value) in (bool, str):
            return value
        if isinstance(value, UnreadableValue):
            return {"unreadable": value.unreadable_kind, "reason": value.unreadable_reason}
        if isinstance(value, enum.Enum):
            return self.of(value.value)
        if isinstance(value, int):
            return int(value) if value.bit_length() < _DIGITS else hex(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, str):
            return str(value)
        if id(value) in self._around or len(self._around) >= DEEPEST or self._left < 0:
            return _LEFT_OUT
        self._around.add(id(value))
        try:
            return self._whole(value)
        finally:
            self._around.discard(id(value))

    def _whole(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value)
        fields = fields_of(value)
        if fields is not None:
            return self._mapping(fields)
        if isinstance(value, (list, tuple, deque)):
            return [self.of(inner) for inner in value]
        if isinstance(value, (set, frozenset)):
            return sorted((self.of(inner) for inner in value), key=str)
        return self._foreign(value)

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        named = {str(key): self.of(value[key]) for key in value}
        if len(named) == len(value):
            return named
        return [[self.of(key), self.of(value[key])] for key in value]

    def _foreign(self, value: Any) -> Any:
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, (bytes, bytearray)):
            return base64.b64encode(value).decode("ascii")
        if hasattr(value, "class_path") and hasattr(value, "pid"):  # a child in a context or an output
            return {"pid": value.pid, "class": value.class_path}
        try:
            return self._of_library(value)
        except Exception as error:  # whatever a library, or a class of the user's, says
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"

    def _of_library(self, value: Any) -> Any:
        if getattr(getattr(value, "dtype", None), "kind", "") in ("M", "m"):
            return self.of(value.astype(str).tolist())
        if hasattr(value, "tolist"):  # numpy scalars and arrays, series
            return self.of(value.tolist())
        if hasattr(value, "to_dict") and hasattr(value, "columns"):  # frames
            return self.of(value.to_dict("list"))
        return str(value)
