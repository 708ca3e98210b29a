"""`quince status`: the workspace at a glance."""

from __future__ import annotations

import time

import typer

from quince.cli.errors import DONE, FAILED
from quince.cli.options import AsJson
from quince.cli.session import session
from quince.cli.status_view import overview
from quince.cli.terminal import show_json

app = typer.Typer()


@app.command(rich_help_panel="Workspace")
def status(as_json: AsJson = False) -> int:
    """Show store, broker, daemon, workers and backlog; exit status 1 if something is unreachable."""
    location = session.location()
    if location.has_own_store:
        location.require_made()
    facts = overview(location)
    if as_json:
        show_json(facts.document())
    else:
        facts.print(time.time())
    return FAILED if facts.store_error or facts.broker_error else DONE
