"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from quince.cli.terminal import reserve_stdout


def _alone(wanted: bool) -> bool:
    """Have nothing but the document on stdout, whatever users' modules print on import or in a step."""
    if wanted:
        reserve_stdout()
    return wanted


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.", callback=_alone)]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="Wait no longer than this.")
]
