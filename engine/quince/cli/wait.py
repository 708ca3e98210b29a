"""`quince wait`: until processes have ended."""

from __future__ import annotations

import typer

from quince.cli.errors import DONE, FAILED
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.formatting import exit_text, style_of
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put
from quince.cli.progress import going_on, watch
from quince.cli.results import result_document, result_of, succeeded
from quince.cli.session import session
from quince.cli.terminal import show_documents
from quince.monitor.words import class_name

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def wait(chosen: Filter, timeout: Timeout = None, as_json: AsJson = False) -> int:
    """Wait until processes have ended; exit status 1 if one ended badly, or not in time."""
    with session.workspace() as home:
        pids = [row.pid for row in resolve(home, chosen, live=chosen.everything)]
        with going_on(pids):
            watch(home, pids, timeout)
        results = [result_of(home, pid) for pid in pids]
        if as_json:
            show_documents([result_document(result) for result in results], single=chosen.single)
        else:
            for result in results:
                shown, ended = style_of(result.row), exit_text(result.row).plain
                put(f"{result.row.pid} {class_name(result.row)} {shown.word} {ended}".rstrip())
    return DONE if all(succeeded(result) for result in results) else FAILED
