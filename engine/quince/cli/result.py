"""`quince result`: the outputs of processes that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED
from quince.cli.filters import Filter, filtered
from quince.cli.formatting import class_name
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put
from quince.cli.progress import told_if_interrupted, watch
from quince.cli.resolve_pids import picked
from quince.cli.results import result_document, show_result, stored, succeeded
from quince.cli.session import session
from quince.cli.terminal import show_documents

app = typer.Typer()


@app.command(rich_help_panel="Look")
@filtered
def result(
    chosen: Filter,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end first.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Print the outputs of processes that have ended; exit status 1 if one has none."""
    with session.workspace() as home:
        rows = picked(home, chosen)
        if wait:
            with told_if_interrupted([row.pid for row in rows]):
                watch(home, [row.pid for row in rows], timeout)
        results = [stored(home, row.pid) for row in rows]
    if as_json:
        documents = [result_document(result) for result in results]
        show_documents(documents, single=chosen.single)
        return DONE if all(succeeded(result) for result in results) else FAILED
    worst = DONE
    for index, result in enumerate(results):
        if len(results) > 1:
            if index:
                put()
            put(f"{result.row.pid} {class_name(result.row)}")
        worst = max(worst, show_result(result))
    return worst
