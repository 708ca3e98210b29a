"""States, ages and classes in words and colours, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quince.cli.terminal import Styled, Text
from quince.moments import span
from quince_persistence.records import Control, ProcessRow, State


@dataclass(frozen=True, slots=True)
class StateStyle:
    """How a state is shown: a glyph, a word, a rich style."""

    glyph: str
    word: str
    style: str


_STYLES: Mapping[State, StateStyle] = {
    State.CREATED: StateStyle("○", "created", "blue"),
    State.RUNNING: StateStyle("●", "running", "bold cyan"),
    State.WAITING: StateStyle("◔", "waiting", "yellow"),
    State.FINISHED: StateStyle("✔", "finished", "green"),
    State.EXCEPTED: StateStyle("✘", "excepted", "bold red"),
    State.KILLED: StateStyle("■", "killed", "red"),
}
_FAILED = StateStyle("✘", "finished", "dark_orange")
_PAUSED = StateStyle("‖", "paused", "magenta")
LONGEST_CELL = 60
"""Characters of a sentence in a table; `show` and `why` have all of it."""

_ERROR_CLASS = re.compile(r"^(?:\w+\.)+(\w+)(?=:|$)")
_COMING = {Control.PAUSE: "pausing", Control.KILL: "killing", Control.PLAY: "resuming"}


def actual_state(row: ProcessRow) -> State:
    """The state as it is to be understood.

    A step that runs is not written down as a state of its own: a process that a worker holds, and
    that has nothing to wait for, runs.
    """
    if row.owner is not None and not row.terminated and row.awaiting == 0:
        return State.RUNNING
    return row.state


def style_of(row: ProcessRow) -> StateStyle:
    """Glyph, word and colour of a process as it stands."""
    state = actual_state(row)
    if row.paused and not row.terminated:
        return _PAUSED
    if state is State.FINISHED and row.exit_status:
        return _FAILED
    return _STYLES[state]


def state_text(row: ProcessRow) -> Styled:
    """Its state with glyph and colour, and the control that is under way."""
    shown = style_of(row)
    text = Text(f"{shown.glyph} {shown.word}", style=shown.style)
    if row.paused and not row.terminated:
        text.append(f" ({row.state.value})", style="dim")
    if row.intent is not None:
        text.append(f" → {_COMING[row.intent]}", style="magenta")
    return text


def class_name(row: ProcessRow) -> str:
    """The class without its module."""
    return row.class_path.rpartition(":")[2]


def doing(row: ProcessRow, *, status: bool = True) -> str:
    """One phrase: the step it is in or before, its status, what it waits for; nothing once it has ended."""
    if row.terminated:
        return ""
    parts = [part for part in (row.step, row.status if status else None) if part]
    if actual_state(row) is State.WAITING and row.awaiting:
        parts.append(_awaited(row))
    return " · ".join(parts)


def _awaited(row: ProcessRow) -> str:
    if row.signals and row.awaiting == len(row.signals):
        return f"waits for signal {', '.join(dict.fromkeys(row.signals))}"
    return "until its timer" if row.due and row.awaiting == 1 else f"waits for {row.awaiting}"


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


def took(row: ProcessRow, started: float | None, now: float) -> str:
    """From its start, when a worker first took it up, to its end or until now; nothing before its start."""
    return "" if started is None else span((row.ended or now) - started)


def queued(row: ProcessRow, started: float | None, now: float) -> str:
    """How long it has waited for a worker before its start, or to its end without one."""
    return f"queued {span((started or row.ended or now) - row.created)}"


def counts_text(counts: Mapping[State, int]) -> Styled:
    """`2 running · 14 waiting · 120 finished`."""
    there = [(state, counts[state]) for state in State if counts.get(state)]
    parts = [Text(f"{count} {state.value}", style=_STYLES[state].style) for state, count in there]
    return Text(" · ").join(parts) if parts else Text("no processes yet", style="dim")
