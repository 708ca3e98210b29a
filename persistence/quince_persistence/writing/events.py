"""Lines of history, as they are written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quince_persistence.errors import RecordRefused
from quince_persistence.records import NewEvent
from quince_persistence.schema.mutable_row import MutableRow

Lines = Sequence[tuple[str, bytes, str | None]]
"""Kind, body as JSON, author of each."""


def encode_events(events: Sequence[NewEvent]) -> Lines:
    """Events with their bodies as JSON."""
    try:
        return [(event.kind, msgspec.json.encode(event.body), event.author) for event in events]
    except (TypeError, ValueError) as error:
        raise RecordRefused(f"the body of an event is not plain JSON: {error}") from error


def marked(row: MutableRow, lines: Lines) -> Lines:
    """Reports of a step that was begun before, with the number of the attempt."""
    attempt = 1 + row.attempt + row.deaths
    if attempt == 1:
        return lines
    return [
        (kind, b'%s,"attempt":%d}' % (body[:-1], attempt) if kind == "report" else body, author)
        for kind, body, author in lines
    ]


def without_told(lines: Lines, told: int) -> Lines:
    """Lines of history, without the first reports of which there are so many already."""
    if not told:
        return lines
    left = []
    for line in lines:
        if line[0] == "report" and told:
            told -= 1
        else:
            left.append(line)
    return left
