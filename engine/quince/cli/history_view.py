"""The history of a process in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quince.cli.terminal import Styled, Text, block
from quince.moments import clock
from quince_persistence.records import EventRow

_INDENT = len("2030-01-31 12:00:00  ")
_VERBS = {"pause": "magenta", "play": "cyan", "kill": "red"}


def history_lines(events: Sequence[EventRow], *, states: bool = True) -> list[Styled]:
    """One line for each event, by the time at which it happened.

    Args:
        states: Changes of state too, not only reports and controls.
    """
    wanted = [event for event in events if states or event.kind != "state"]
    return [
        Text.assemble((clock(_moment(event)), "dim"), "  ", _words(event))
        for event in sorted(wanted, key=_moment)
    ]


def _step(body: Mapping[str, Any]) -> str:
    return f"step {body['step']}" if body.get("step") else "its first step"


def _moment(event: EventRow) -> float:
    """When it happened: a report is written down with its step, later than it was made."""
    at = event.body.get("at") if event.kind == "report" else None
    return float(at) if isinstance(at, (int, float)) else event.at


def _words(event: EventRow) -> Styled:
    body = event.body
    if event.kind in ("report", "death"):
        return block(str(body.get("text", "")), indent=_INDENT)
    if event.kind == "state":
        by = f" by {event.author}" if event.author else ""
        return Text(f"{body.get('from')} → {body.get('to')}{by}", style="dim")
    if event.kind == "claim":
        return Text(f"taken up again by {event.author}, before {_step(body)}", style="dim")
    if event.kind == "control":
        verb = str(body.get("verb", "control"))
        text = Text.assemble((verb, _VERBS.get(verb, "")), f" by {event.author or 'unknown'}")
        if body.get("reason"):
            text.append(f": {body['reason']}")
        return text
    if event.kind == "signal":
        return Text.assemble(("signal", "cyan"), f" {body.get('name')} by {event.author or 'unknown'}")
    return Text(f"{event.kind} " + ", ".join(f"{key}={value}" for key, value in body.items()))
