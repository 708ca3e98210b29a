"""`quince why`: the reason that a process does not move."""

from __future__ import annotations

import dataclasses

import typer

from quince.cli.errors import DONE
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.session import session
from quince.cli.terminal import show_documents
from quince.client.why import why as reason

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def why(chosen: Filter, as_json: AsJson = False) -> int:
    """Say in one sentence why processes do not move, and what that rests on."""
    with session.workspace() as home:
        reasons = [reason(home, row.pid) for row in resolve(home, chosen)]
    if as_json:
        show_documents([dataclasses.asdict(one) for one in reasons], single=chosen.single)
        return DONE
    for one in reasons:
        put(f"{one.pid}: {one.sentence}")
        for line in one.evidence:
            put(f"    {line}")
    return DONE
