"""`quince metrics`: where the metrics of all workers are served."""

from __future__ import annotations

import typer

from quince.cli.errors import DONE
from quince.cli.options import AsJson
from quince.cli.output import put, say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.metrics.targets import service_discovery, targets_of
from quince.text import in_line

app = typer.Typer()


@app.command(rich_help_panel="Workspace")
def metrics(as_json: AsJson = False) -> int:
    """Print where the workers serve their metrics; with --json, as Prometheus' `file_sd_configs` take it."""
    with session.workspace() as home:
        targets = targets_of(home.store)
    if as_json:
        show_json(service_discovery(targets))
    for target in [] if as_json else targets:
        put(in_line(f"http://{target}/metrics"))
    if not (targets or as_json):
        say("no worker serves metrics: `[metrics]` in quince.toml says where, when they start")
    return DONE
