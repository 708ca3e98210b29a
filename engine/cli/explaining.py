"""`quince why`: the reason that a process does not move."""

from __future__ import annotations

import dataclasses

import typer

from engine.cli.filters import Filter, filtered
from engine.cli.lines import put
from engine.cli.options import AsJson
from engine.cli.picking import picked
from engine.cli.session import session
from engine.cli.terminal import show_json
from engine.cli.trouble import DONE
from engine.why import why as reason

app = typer.Typer()


@app.command(rich_help_panel="Look")
@filtered
def why(chosen: Filter, as_json: AsJson = False) -> int:
    """Say in one sentence why processes do not move, and what that rests on."""
    with session.workspace() as home:
        reasons = [reason(home, row.pid) for row in picked(home, chosen)]
    if as_json:
        documents = [dataclasses.asdict(one) for one in reasons]
        show_json(documents[0] if chosen.single else documents)
        return DONE
    for one in reasons:
        put(f"{one.pid}: {one.sentence}")
        for line in one.evidence:
            put(f"    {line}")
    return DONE
