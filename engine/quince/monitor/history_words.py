"""The lines of a history in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from quince.moments import span
from quince_persistence.records import EventRow


def words_of(event: EventRow) -> str:
    """One event for people; of some, several lines."""
    if (known := _WORDS.get(event.kind)) is not None:
        return known(event)
    return f"{event.kind} " + ", ".join(f"{key}={value}" for key, value in event.body.items())


def _told(event: EventRow) -> str:
    words = [str(event.body[name]) for name in ("text", "stderr") if name in event.body]
    if event.kind == "report" and "attempt" in event.body:
        words[0] = f"{words[0]} (attempt {event.body['attempt']})"
    return "\n".join(words)


def _state(event: EventRow) -> str:
    by = f" by {event.author}" if event.author else ""
    return f"{event.body.get('from')} → {event.body.get('to')}{by}"


def _ran(event: EventRow) -> str:
    """Steps that went on without a wait, as far as the line is well made."""
    steps = [f"{one[0]} ({span(one[2])})" for one in event.body.get("ran", ()) if len(one) == 3]
    return f"ran {', '.join(steps)}"


def _revision(event: EventRow) -> str:
    return f"its code was changed: {event.body.get('from')} → {event.body.get('to')}"


def _declined(event: EventRow) -> str:
    return f"{event.author} cannot load it and leaves it to others: {event.body.get('reason')}"


def _claim(event: EventRow) -> str:
    return f"taken up again by {event.author}, before {_step(event.body)}"


def _control(event: EventRow) -> str:
    body = event.body
    given = [f"{name} {body[name]}" for name in ("queue", "priority") if name in body]
    what = ": " + ", ".join(given) if given else ""
    return f"{body.get('verb', 'control')}{_by(event)}{what}"


def _cached(event: EventRow) -> str:
    return f"has the outputs of process {event.body['from']}, which was asked for the same"


def _signal(event: EventRow) -> str:
    return f"signal {event.body.get('name')} by {event.author or 'unknown'}"


def _retried(event: EventRow) -> str:
    """Who has let it go on, and how it had ended."""
    body = event.body
    with_inputs = ", with other inputs" if body.get("inputs") else ""
    ended = body.get("exit_message") or body.get("exit_status")
    how = f": {ended}" if ended else ""
    return f"retry{_by(event)}{with_inputs}; it had ended in {_step(body)}: {body.get('state')}{how}"


def _restarted(event: EventRow) -> str:
    """Who has had it begun anew, or of which process it is the repetition."""
    body = event.body
    what = f"of {body['of']}" if "of" in body else f"as {body.get('as')}"
    return f"restart {what}, from {_step(body)},{_by(event)}"


def _by(event: EventRow) -> str:
    reason = f": {event.body['reason']}" if event.body.get("reason") else ""
    return f" by {event.author or 'unknown'}{reason}"


def _step(body: Mapping[str, Any]) -> str:
    return f"step {body['step']}" if body.get("step") else "its first step"


_WORDS: Mapping[str, Callable[[EventRow], str]] = {
    **dict.fromkeys(("report", "death", "blocked", "attempt"), _told),
    "state": _state,
    "step": _ran,
    "revision": _revision,
    "declined": _declined,
    "claim": _claim,
    "control": _control,
    "cached": _cached,
    "retry": _retried,
    "restart": _restarted,
    "signal": _signal,
}
