"""`quince logs`: what processes reported and printed, and how they were controlled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from quince.cli.documents import event_document
from quince.cli.errors import DONE, WrongUsage
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.history_view import history_lines
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.printed import follow_printed, printed_documents, show_printed
from quince.cli.session import session
from quince.cli.terminal import show, show_documents
from quince.monitor.words import class_name
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def logs(
    chosen: Filter,
    with_states: Annotated[
        bool, typer.Option("--states", help="Also every change of state, not only reports and controls.")
    ] = False,
    printed: Annotated[
        bool, typer.Option("--output", help="Instead: what their steps have printed on this host.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, help="With --output: only so many last lines of each."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as lines come, until the process ends.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Print what processes reported and how they were controlled, by whom and why; or what they printed."""
    if lines is not None and not printed:
        raise WrongUsage("--lines goes with --output")
    with session.workspace() as home:
        rows = resolve(home, chosen)
        if follow and len(rows) != 1:
            raise WrongUsage("--follow wants one process")
        if printed:
            return _printed(home, rows, chosen, lines, follow=follow, as_json=as_json)
        if follow:
            return _follow(home, rows, states=with_states)
        histories = [(row, home.store.events(row.pid)) for row in rows]
    if as_json:
        documents = [
            {"pid": row.pid, "events": [event_document(event) for event in events]}
            for row, events in histories
        ]
        show_documents(documents, single=chosen.single)
        return DONE
    for index, (row, events) in enumerate(histories):
        if len(histories) > 1:
            if index:
                put()
            put(f"{row.pid} {class_name(row)}")
        for line in history_lines(events, states=with_states):
            show(line)
    return DONE


def _follow(home: Workspace, rows: Sequence[ProcessRow], *, states: bool) -> int:
    """Print the history of one process as it grows."""
    for event in home.watcher.follow(rows[0].pid):
        for line in history_lines([event], states=states):
            show(line)
    return DONE


def _printed(
    home: Workspace,
    rows: Sequence[ProcessRow],
    chosen: Filter,
    lines: int | None,
    *,
    follow: bool,
    as_json: bool,
) -> int:
    """What their steps have printed."""
    if follow and as_json:
        raise WrongUsage("--output with --json does not follow")
    if follow:
        return follow_printed(home, rows[0], lines=lines)
    if as_json:
        return printed_documents(home, rows, single=chosen.single, lines=lines)
    return show_printed(home, rows, lines=lines)
