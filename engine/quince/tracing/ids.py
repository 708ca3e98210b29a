"""Names of traces and spans: a tree is a trace, a process a span whose name everybody can work out, so that
steps are found below it before it has ended, whichever worker runs them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from quince_persistence.records import ProcessRow


@dataclass(frozen=True, slots=True)
class Place:
    """Where the span of a process is.

    Attributes:
        trace: Number of the trace.
        span: Number of its own span.
        parent: Number of the span that it is below; None: it is the first one of its trace.
        sampled: Whether whoever has begun the trace wants it recorded; None: it begins here.
    """

    trace: int
    span: int
    parent: int | None
    sampled: bool | None


def place_of(row: ProcessRow, store: str) -> Place:
    """Where a process is: below the span under which it was submitted; else below its parent.

    Args:
        store: Identity of the store.
    """
    span = _number(f"{store}/{row.pid}", 8)
    if row.options.trace is not None and (carried := parse(row.options.trace)) is not None:
        return Place(carried[0], span, carried[1], carried[2])
    trace = _number(f"{store}/{row.root}/tree", 16)
    return Place(trace, span, None if row.parent is None else _number(f"{store}/{row.parent}", 8), None)


def parse(traceparent: str) -> tuple[int, int, bool] | None:
    """Number of the trace, number of the span, whether it is recorded; None: that is no `traceparent`."""
    parts = traceparent.split("-")
    try:
        trace, span, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return None
    return (trace, span, bool(flags & 1)) if trace and span else None


def traceparent(trace: int, span: int, *, sampled: bool) -> str:
    """As it travels."""
    return f"00-{trace:032x}-{span:016x}-{'01' if sampled else '00'}"


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
