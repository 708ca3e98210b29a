"""`quince result`: the outputs of processes that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put
from quince.cli.progress import going_on, watch
from quince.cli.results import result_document, result_of, show_result, succeeded
from quince.cli.session import session
from quince.cli.terminal import show_documents
from quince.monitor.words import class_name

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def result(
    chosen: Filter,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end first.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Print the outputs of processes that have ended; exit status 1 if one has none."""
    with session.workspace() as home:
        pids = [row.pid for row in resolve(home, chosen)]
        if wait:
            with going_on(pids):
                watch(home, pids, timeout)
        results = [result_of(home, pid) for pid in pids]
    if as_json:
        show_documents([result_document(result) for result in results], single=chosen.single)
        return DONE if all(succeeded(result) for result in results) else FAILED
    worst = DONE
    for index, result in enumerate(results):
        if len(results) > 1:
            if index:
                put()
            put(f"{result.row.pid} {class_name(result.row)}")
        worst = max(worst, show_result(result))
    return worst
