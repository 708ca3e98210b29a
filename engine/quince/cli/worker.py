"""`quince worker`: one worker in the foreground, and what the daemon starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from quince.cli.session import session
from quince.errors import WorkspaceError
from quince.settings import DEFAULT_SLOTS, LINGER_SECONDS, SUPERVISOR_VARIABLE
from quince.worker.service import serve

app = typer.Typer()


@app.command(rich_help_panel="Run")
def worker(
    name: Annotated[str, typer.Option(help="For people, and for its log.")] = "worker",
    slots: Annotated[int, typer.Option(min=1, help="How many processes run at once.")] = DEFAULT_SLOTS,
    queues: Annotated[
        list[str] | None, typer.Option("--queue", help="A queue to work for; may be given several times.")
    ] = None,
    linger: Annotated[
        float, typer.Option(min=0, help="Seconds that a waiting process stays in memory.")
    ] = LINGER_SECONDS,
    folder: Annotated[Path | None, typer.Option(help="The workspace's folder.")] = None,
) -> int:
    """Run one worker in the foreground; Ctrl-C drains it, twice ends it at once."""
    session.folder = folder or session.folder
    location = session.location()
    location.require_shared()
    if SUPERVISOR_VARIABLE in os.environ and not location.state.is_dir():
        raise WorkspaceError(f"{location.state} is not there any more; no worker starts without it")
    return serve(location, slots=slots, queues=tuple(queues or ["default"]), name=name, linger=linger)
