"""The history of a process in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from quince.cli.terminal import Styled, Text, block
from quince.moments import clock
from quince.monitor.history import moment
from quince.monitor.history_words import words_of
from quince_persistence.records import EventRow

_INDENT = len("2030-01-31 12:00:00  ")
_VERBS = {"pause": "magenta", "play": "cyan", "kill": "red"}
_TOLD = ("report", "death", "blocked", "attempt")
_DIM = ("state", "step", "revision", "declined", "claim")
"""Kinds of lines that only tell how it went on."""


def history_lines(events: Sequence[EventRow], *, states: bool = True) -> list[Styled]:
    """One line for each event, by the time at which it happened.

    Args:
        states: Changes of state too, not only reports and controls; each tells which code has run since the
            one before, if that was another than earlier.
    """
    wanted = [event for event in events if states or event.kind not in ("state", "step")]
    lines, revision = [], None
    for event in sorted(wanted, key=moment):
        words = _styled(event)
        if event.kind == "state" and (ran := event.body.get("revision", revision)) != revision:
            words, revision = Text.assemble(words, (f" (code {ran})", "dim")), ran
        lines.append(Text.assemble((clock(moment(event)), "dim"), "  ", words))
    return lines


def _styled(event: EventRow) -> Styled:
    words = words_of(event)
    if event.kind in _TOLD:
        return block(words, indent=_INDENT)
    if event.kind in _DIM:
        return Text(words, style="dim")
    if event.kind in ("control", "signal", "retry", "restart"):
        first, _, rest = words.partition(" ")
        style = _VERBS.get(first, "") if event.kind == "control" else "cyan"
        return Text.assemble((first, style), f" {rest}")
    return Text(words)
