"""`quince show`: all about a process."""

from __future__ import annotations

import time
from typing import Any

import typer

from quince.cli.documents import event_document, plain, row_document
from quince.cli.errors import DONE
from quince.cli.filters import Filter, with_options
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.process_view import process_view
from quince.cli.resolve_pids import resolve
from quince.cli.results import readable, result_document, result_of
from quince.cli.session import session
from quince.cli.terminal import show as draw
from quince.cli.terminal import show_documents
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow, Selection

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def show(chosen: Filter, as_json: AsJson = False) -> int:
    """Show all about processes: inputs, outputs, error with traceback, children, history."""
    with session.workspace() as home:
        rows = resolve(home, chosen)
        if as_json:
            documents = [_document(home, row) for row in rows]
            show_documents(documents, single=chosen.single)
            return DONE
        names = {worker.id: worker.name for worker in home.store.workers()}
        for index, row in enumerate(rows):
            if index:
                put()
            children = home.store.select(Selection(parent=row.pid))
            draw(
                process_view(
                    result_of(home, row.pid),
                    inputs=_inputs(home, row.pid),
                    children=sorted(children, key=lambda child: child.pid),
                    events=home.store.events(row.pid),
                    names=names,
                    started=home.store.started([row.pid, *(child.pid for child in children)]),
                    now=time.time(),
                )
            )
    return DONE


def _document(home: Workspace, row: ProcessRow) -> dict[str, Any]:
    children = home.store.select(Selection(parent=row.pid))
    started = home.store.started([row.pid, *(child.pid for child in children)])
    return {
        **result_document(result_of(home, row.pid), started),
        "inputs": plain(_inputs(home, row.pid)),
        "children": [row_document(child, started) for child in sorted(children, key=lambda child: child.pid)],
        "history": [event_document(event) for event in home.store.events(row.pid)],
    }


def _inputs(home: Workspace, pid: int) -> dict[str, Any]:
    return dict(readable(home.store.inputs(pid)))
