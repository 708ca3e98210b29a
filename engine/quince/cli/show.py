"""`quince show`: all about a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from quince.cli.documents import event_document, plain, row_document
from quince.cli.errors import DONE
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.formatting import exit_text, state_text
from quince.cli.history_view import history_lines
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.process_table import NARROW, process_table
from quince.cli.results import result_document, result_of, values_table
from quince.cli.session import session
from quince.cli.terminal import NEWLINE, Styled, Text, block, show_documents
from quince.cli.terminal import show as draw
from quince.client.restart import beginnings
from quince.moments import clock, span
from quince.monitor.details import error_record_of, readable
from quince.monitor.history import last_revision, retries_of
from quince.monitor.rows import Row, rows_of
from quince.monitor.words import actual_state, doing, progress_text
from quince.on_hold import is_held
from quince.processes.error_record import ErrorRecord
from quince.workspace.revision import revision_of
from quince.workspace.workspace import Workspace
from quince_persistence.records import EventRow, ProcessRow, Selection, State

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def show(chosen: Filter, as_json: AsJson = False) -> int:
    """Show all about processes: inputs, outputs, error with traceback, children, history."""
    with session.workspace() as home:
        rows = resolve(home, chosen)
        if as_json:
            show_documents([_document(home, row) for row in rows], single=chosen.single)
            return DONE
        for index, row in enumerate(rows):
            if index:
                put()
            draw(_view(home, row.pid))
    return DONE


def _document(home: Workspace, row: ProcessRow) -> dict[str, Any]:
    children = _children(home, row.pid)
    started = home.store.started([row.pid, *(child.pid for child in children)])
    return {
        **result_document(result_of(home, row.pid), started),
        "inputs": plain(_inputs(home, row.pid)),
        "retries": retries_of(home.store.events(row.pid)),
        "steps": [name for name, _ in beginnings(home.store, row.pid)],
        "children": [row_document(child, started) for child in children],
        "history": [event_document(event) for event in home.store.events(row.pid)],
    }


def _children(home: Workspace, pid: int) -> Sequence[ProcessRow]:
    """By pid."""
    return sorted(home.store.select(Selection(parent=pid)), key=lambda child: child.pid)


def _inputs(home: Workspace, pid: int) -> dict[str, Any]:
    return dict(readable(home.store.inputs(pid)))


CHILDREN = 50
EVENTS = 40
"""How many of each are shown; the rest is counted."""


def _view(home: Workspace, pid: int) -> Group:
    """What is shown of one process."""
    result, inputs, events = result_of(home, pid), _inputs(home, pid), home.store.events(pid)
    row, children = result.row, _children(home, pid)
    seen, *below = rows_of(home.store, [row, *children[:CHILDREN]])
    parts: list[RenderableType] = [
        Text.assemble((f"{row.pid} ", "bold"), (row.class_path, "bold"), "  ", state_text(row)),
        _section(_facts(seen, _code(home, row, events), retries_of(events))),
    ]
    if len(steps := beginnings(home.store, row.pid)) > 1:
        parts += [_heading("Steps to restart from"), _section(Text(", ".join(name for name, _ in steps)))]
    if inputs:
        parts += [_heading("Inputs"), _section(values_table(inputs))]
    if outputs := readable(result.outputs):
        parts += [_heading("Outputs"), _section(values_table(outputs))]
    if result.error and (row.terminated or is_held(row)):
        parts += [_heading("Error"), _section(_error(error_record_of(result.error)))]
    if children:
        parts += [_heading(_count("Children", len(children), CHILDREN))]
        parts += [_section(process_table(below, width=NARROW - 1))]
    if events:
        parts += [_heading(_count("History", len(events), EVENTS))]
        parts += [_section(line) for line in history_lines(events[-EVENTS:])]
    return Group(*parts)


def _code(home: Workspace, row: ProcessRow, events: Sequence[EventRow]) -> str | None:
    """The revision that ran last, and whether the files are still like that here."""
    ran = last_revision(events)
    if ran is None:
        return None
    now = revision_of(row.class_path, home.location.folder)
    if now is None:
        return ran
    return f"{ran}, as it is now" if now == ran else f"{ran}; it has been changed since, and is {now} now"


def _facts(seen: Row, code: str | None, retries: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in [*_known(seen, code), *_repeated(seen.row, retries)]:
        table.add_row(name, value)
    return table


def _known(seen: Row, code: str | None) -> list[tuple[str, RenderableType]]:
    row, started, now = seen.row, seen.started, seen.seen
    facts: list[tuple[str, RenderableType | None]] = [
        ("step", doing(row) or None),
        ("progress", progress_text(row)),
        ("exit", exit_text(row) or None),
        ("cache", _cached(row)),
        ("code", code),
        ("parent", None if row.parent is None else str(row.parent)),
        ("key", row.key),
        ("labels", ", ".join(f"{name}={value}" for name, value in row.options.labels.items()) or None),
        ("limits", _limits(row)),
        ("queue", f"{row.queue}, priority {row.priority}"),
        ("worker", seen.worker or _whereabouts(row)),
        ("deaths", _deaths(row) if row.deaths else None),
        ("created", f"{clock(row.created)} ({span(now - row.created)} ago)"),
        ("timer", None if row.due is None else f"{clock(row.due)} (in {span(row.due - now)})"),
        (
            "deadline",
            None if row.deadline is None else f"{clock(row.deadline)} (in {span(row.deadline - now)})",
        ),
        ("started", None if started is None else f"{clock(started)} (queued {span(seen.queued)})"),
        ("ended", None if row.ended is None else f"{clock(row.ended)}{_after(seen.took)}"),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _cached(row: ProcessRow) -> str | None:
    """From whom its outputs are."""
    origin = row.options.cached_from
    return None if origin is None else f"outputs of process {origin}, which was asked for the same"


def _limits(row: ProcessRow) -> str | None:
    """Which it asks for, and whether it has them."""
    if not row.options.limits:
        return None
    stand = "held" if row.granted else "waited for" if row.waits_for_limits else "not held"
    return f"{', '.join(row.options.limits)} ({stand})"


def _repeated(row: ProcessRow, retries: int) -> list[tuple[str, RenderableType]]:
    facts: list[tuple[str, RenderableType]] = []
    if retries:
        facts.append(("retried", "once" if retries == 1 else f"{retries} times"))
    if row.options.restart_of is not None:
        facts.append(("restart of", str(row.options.restart_of)))
    return facts


def _deaths(row: ProcessRow) -> str:
    if row.deaths == row.deaths_alone:
        return f"this step has ended {row.deaths} step hosts"
    own = f", {row.deaths_alone} of them ended by it" if row.deaths_alone else ""
    return f"{row.deaths} step hosts or workers died in this step{own}"


def _after(took: float | None) -> str:
    return "" if took is None else f", {span(took)} after its start"


def _whereabouts(row: ProcessRow) -> str | None:
    """Why nobody holds it, if it could be held."""
    if row.terminated or row.paused:
        return None
    if actual_state(row) is State.WAITING and row.awaiting:
        return "none (it waits)"
    if row.waits_for_limits:
        return "none (it waits for a limit)"
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
