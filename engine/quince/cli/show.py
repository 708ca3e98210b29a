"""`quince show`, `tree` and `logs`: one process from close by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quince.cli.documents import event_document, plain, row_document
from quince.cli.errors import DONE, WrongUsage
from quince.cli.filters import Filter, filtered
from quince.cli.formatting import class_name
from quince.cli.history_view import history_lines
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.process_view import portrait
from quince.cli.resolve_pids import picked
from quince.cli.results import readable, result_document, stored
from quince.cli.session import session
from quince.cli.terminal import show as draw
from quince.cli.terminal import show_json
from quince.cli.tree_view import Branch, family, forest
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow, Selection

app = typer.Typer()


@app.command(rich_help_panel="Look")
@filtered
def show(chosen: Filter, as_json: AsJson = False) -> int:
    """Show all about processes: inputs, outputs, error with traceback, children, history."""
    with session.workspace() as home:
        rows = picked(home, chosen)
        if as_json:
            documents = [_document(home, row) for row in rows]
            show_json(documents[0] if chosen.single else documents)
            return DONE
        names = {worker.id: worker.name for worker in home.store.workers()}
        for index, row in enumerate(rows):
            if index:
                put()
            children = home.store.select(Selection(parent=row.pid))
            draw(
                portrait(
                    stored(home, row.pid),
                    inputs=_inputs(home, row.pid),
                    children=sorted(children, key=lambda child: child.pid),
                    events=home.store.events(row.pid),
                    names=names,
                    started=home.store.started([row.pid, *(child.pid for child in children)]),
                    now=time.time(),
                )
            )
    return DONE


@app.command(rich_help_panel="Look")
@filtered
def tree(chosen: Filter, as_json: AsJson = False) -> int:
    """Show processes with all their descendants, states and durations."""
    with session.workspace() as home:
        branches = _branches(home, picked(home, chosen))
    if as_json:
        documents = [branch.document() for branch in branches]
        show_json(documents[0] if chosen.single else documents)
        return DONE
    draw(forest(branches, time.time()))
    return DONE


@app.command(rich_help_panel="Look")
@filtered
def logs(
    chosen: Filter,
    with_states: Annotated[
        bool, typer.Option("--states", help="Also every change of state, not only reports and controls.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as lines come, until the process ends.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Print what processes reported and how they were controlled, by whom and why."""
    with session.workspace() as home:
        rows = picked(home, chosen)
        if follow:
            return _follow(home, rows, states=with_states)
        histories = [(row, home.store.events(row.pid)) for row in rows]
    if as_json:
        documents = [
            {"pid": row.pid, "events": [event_document(event) for event in events]}
            for row, events in histories
        ]
        show_json(documents[0] if chosen.single else documents)
        return DONE
    for index, (row, events) in enumerate(histories):
        if len(histories) > 1:
            if index:
                put()
            put(f"{row.pid} {class_name(row)}")
        for line in history_lines(events, states=with_states):
            draw(line)
    return DONE


def _follow(home: Workspace, rows: Sequence[ProcessRow], *, states: bool) -> int:
    """Print the history of one process as it grows."""
    if len(rows) != 1:
        raise WrongUsage("--follow wants one process")
    for event in home.watcher.follow(rows[0].pid):
        for line in history_lines([event], states=states):
            draw(line)
    return DONE


def _document(home: Workspace, row: ProcessRow) -> dict[str, Any]:
    children = home.store.select(Selection(parent=row.pid))
    started = home.store.started([row.pid, *(child.pid for child in children)])
    return {
        **result_document(stored(home, row.pid), started),
        "inputs": plain(_inputs(home, row.pid)),
        "children": [row_document(child, started) for child in sorted(children, key=lambda child: child.pid)],
        "history": [event_document(event) for event in home.store.events(row.pid)],
    }


def _inputs(home: Workspace, pid: int) -> dict[str, Any]:
    return dict(readable(home.store.inputs(pid)))


def _branches(home: Workspace, rows: Sequence[ProcessRow]) -> list[Branch]:
    """Each picked process with its descendants; one that is in the tree of another is not repeated."""
    branches: dict[int, Branch] = {}
    inner: set[int] = set()
    for row in rows:
        if row.pid not in inner:
            members = home.store.tree(row.pid)
            inner.update(member.pid for member in members if member.pid != row.pid)
            started = home.store.started([member.pid for member in members])
            branches[row.pid] = family(row.pid, members, started)
    return [branch for pid, branch in branches.items() if pid not in inner]
