"""What the history of a process tells of attempts that have failed."""

from __future__ import annotations

from quince.moments import span
from quince_persistence.contract import StoreContract
from quince_persistence.records import EventRow


def last_attempt(store: StoreContract, pid: int) -> EventRow | None:
    """The last one; None: none has failed."""
    return next((event for event in reversed(store.events(pid)) if event.kind == "attempt"), None)


def told(attempt: EventRow, now: float) -> list[str]:
    """It in words, and where its code stood."""
    lines = [line.strip() for line in str(attempt.body.get("traceback")).splitlines()]
    places = [line for line in lines if line.startswith("File ")]
    return [f"{span(now - attempt.at)} ago: {attempt.body.get('text')}", *places[-1:]]


def times(count: int) -> str:
    """`once`, `2 times`."""
    return "once" if count == 1 else f"{count} times"
