"""`quince signal`."""

from __future__ import annotations

from typing import Annotated

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.input_values import Word
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.signals import send
from quince.processes.signals import checked_name
from quince_persistence.records.controls import ControlOutcome

app = typer.Typer()


@app.command(rich_help_panel="Control")
@with_options
def signal(
    chosen: Filter,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What they wait for.", show_default=False)],
    value: Annotated[str, typer.Option("--value", metavar="VALUE", help="JSON, or a plain string.")] = "true",
    as_json: AsJson = False,
) -> int:
    """Send a value to processes that wait, or will wait, for it: `quince signal 17 approval --value yes`."""
    with session.workspace() as home:
        plain = not (chosen.everything or chosen.narrowed or chosen.tree)
        pids = chosen.named(home) if plain else [row.pid for row in resolve(home, chosen, live=True)]
        if not pids and plain:
            raise WrongUsage("say which processes: pids, a filter as --state waiting, or --all")
        try:
            checked_name(name)
        except ValueError as error:
            raise WrongUsage(str(error)) from error
        outcomes = send(home, pids, name, Word(value).value, None)
        if as_json:
            show_json([_document(name, outcome) for outcome in outcomes])
        else:
            for outcome in outcomes:
                if outcome.refused is None:
                    put(f"{outcome.pid} {_said(outcome, name)}")
            if not outcomes:
                say("there is no such process to signal")
    for outcome in outcomes:
        if outcome.refused is not None:
            complain(outcome.refused)
    return DONE if all(outcome.refused is None for outcome in outcomes) else FAILED


def _said(outcome: ControlOutcome, name: str) -> str:
    before = outcome.before
    return (
        "signalled"
        if before is not None and name in before.signals
        else "signalled; it does not wait for it yet"
    )


def _document(name: str, outcome: ControlOutcome) -> dict[str, object]:
    return {
        "pid": outcome.pid,
        "signal": name,
        "accepted": outcome.refused is None,
        "message": outcome.refused or _said(outcome, name),
    }
