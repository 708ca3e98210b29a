"""States, ages and classes in words and colours, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quince.cli.terminal import Styled, Text
from quince.monitor.words import Shown, coming, glance, shown
from quince_persistence.records import ProcessRow, State


@dataclass(frozen=True, slots=True)
class StateStyle:
    """How a state is shown: a glyph, a word, a rich style."""

    glyph: str
    word: str
    style: str


STYLES: Mapping[Shown, StateStyle] = {
    Shown.CREATED: StateStyle("○", "created", "blue"),
    Shown.RUNNING: StateStyle("●", "running", "bold cyan"),
    Shown.WAITING: StateStyle("◔", "waiting", "yellow"),
    Shown.PAUSED: StateStyle("‖", "paused", "magenta"),
    Shown.FINISHED: StateStyle("✔", "finished", "green"),
    Shown.FAILED: StateStyle("✘", "finished", "dark_orange"),
    Shown.EXCEPTED: StateStyle("✘", "excepted", "bold red"),
    Shown.KILLED: StateStyle("■", "killed", "red"),
}
LONGEST_CELL = 60
"""Characters of a sentence in a table; `show` and `why` have all of it."""

_ERROR_CLASS = re.compile(r"^(?:\w+\.)+(\w+)(?=:|$)")


def style_of(row: ProcessRow) -> StateStyle:
    """Glyph, word and colour of a process as it stands."""
    return STYLES[shown(row)]


def state_text(row: ProcessRow) -> Styled:
    """Its state with glyph and colour, and the control that is under way."""
    look = style_of(row)
    text = Text(f"{look.glyph} {look.word}", style=look.style)
    if row.paused and not row.terminated:
        text.append(f" ({row.state.value})", style="dim")
    if (control := coming(row)) is not None:
        text.append(f" → {control}", style="magenta")
    return text


def exit_text(row: ProcessRow) -> Styled:
    """Exit status, with its message."""
    if row.exit_status is None and not row.exit_message:
        return Text("")
    text = Text("" if row.exit_status is None else str(row.exit_status))
    text.stylize("green" if row.exit_status == 0 else "red")
    if row.exit_message:
        message = " ".join(row.exit_message.split())
        text.append(f" {message}" if text.plain else message)
    return text


def exit_cell(row: ProcessRow) -> Styled:
    """Exit status, or `!` and the error's class without its module; its sentence is cut."""
    text = exit_text(row)
    if row.exit_status is None and text.plain:
        text = Text("!" + _ERROR_CLASS.sub(r"\1", text.plain), style="red")
    if len(text) > LONGEST_CELL:
        text = Text.assemble(text[: LONGEST_CELL - 1], "…")
    return text


def counts_text(counts: Mapping[State, int], paused: Mapping[State, int]) -> Styled:
    """`2 running · 14 waiting · 1 paused · 120 finished`."""
    seen = glance(counts, paused)
    parts = [Text(f"{count} {one.value}", style=STYLES[one].style) for one, count in seen.items()]
    return Text(" · ").join(parts) if parts else Text("no processes yet", style="dim")
