"""All about one process, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from quince.cli.formatting import actual_state, doing, exit_text, queued, state_text, took
from quince.cli.history_view import history_lines
from quince.cli.process_table import NARROW, process_table, worker_name
from quince.cli.results import error_record_of, readable, values_table
from quince.cli.terminal import NEWLINE, Styled, Text, block
from quince.moments import clock, span
from quince.processes.error_record import ErrorRecord
from quince_persistence.records import EventRow, ProcessRow, Result, State

CHILDREN = 50
EVENTS = 40
"""How many of each are shown; the rest is counted."""


def process_view(
    result: Result,
    *,
    inputs: Mapping[str, Any],
    children: Sequence[ProcessRow],
    events: Sequence[EventRow],
    names: Mapping[str, str],
    started: Mapping[int, float],
    now: float,
) -> Group:
    """What `quince show` prints of one process.

    Args:
        children: By pid.
        names: Of workers, by their ids.
        started: When it and its children were first taken up, by pid.
    """
    row = result.row
    parts: list[RenderableType] = [
        Text.assemble((f"{row.pid} ", "bold"), (row.class_path, "bold"), "  ", state_text(row)),
        _section(_facts(row, names, started.get(row.pid), now)),
    ]
    if inputs:
        parts += [_heading("Inputs"), _section(values_table(inputs))]
    if outputs := readable(result.outputs):
        parts += [_heading("Outputs"), _section(values_table(outputs))]
    if result.error:
        parts += [_heading("Error"), _section(_error(error_record_of(result.error)))]
    if children:
        parts += [_heading(_count("Children", len(children), CHILDREN))]
        parts += [_section(process_table(children[:CHILDREN], names, now, width=NARROW - 1, started=started))]
    if events:
        parts += [_heading(_count("History", len(events), EVENTS))]
        parts += [_section(line) for line in history_lines(events[-EVENTS:])]
    return Group(*parts)


def _facts(row: ProcessRow, names: Mapping[str, str], started: float | None, now: float) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _known(row, names, started, now):
        table.add_row(name, value)
    return table


def _known(
    row: ProcessRow, names: Mapping[str, str], started: float | None, now: float
) -> list[tuple[str, RenderableType]]:
    facts: list[tuple[str, RenderableType | None]] = [
        ("step", doing(row) or None),
        ("exit", exit_text(row) or None),
        ("parent", None if row.parent is None else str(row.parent)),
        ("key", row.key),
        ("queue", f"{row.queue}, priority {row.priority}"),
        ("worker", worker_name(row.owner, names) or _whereabouts(row)),
        ("deaths", f"{row.deaths} workers died while they held it" if row.deaths else None),
        ("created", f"{clock(row.created)} ({span(now - row.created)} ago)"),
        ("timer", None if row.due is None else f"{clock(row.due)} (in {span(row.due - now)})"),
        ("started", None if started is None else f"{clock(started)} ({queued(row, started, now)})"),
        ("ended", None if row.ended is None else f"{clock(row.ended)}{_after(took(row, started, now))}"),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _after(took: str) -> str:
    return f", {took} after its start" if took else ""


def _whereabouts(row: ProcessRow) -> str | None:
    """Why nobody holds it, if it could be held."""
    if row.terminated or row.paused:
        return None
    if actual_state(row) is State.WAITING and row.awaiting:
        return "none (it waits)"
    return "none (it is queued)"


def _error(story: ErrorRecord) -> Styled:
    if story.traceback.strip():
        return block(story.traceback.rstrip(), "red")
    return block(f"{story.type_name}: {story.text}", "red")


def _heading(name: str) -> Styled:
    return Text.assemble(NEWLINE, (name, "bold underline"))


def _count(name: str, there: int, shown: int) -> str:
    return name if there <= shown else f"{name} ({shown} of {there})"


def _section(content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, 2))
