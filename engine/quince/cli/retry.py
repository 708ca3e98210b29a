"""`quince retry`: going on with what has ended, and not well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from quince.cli.control import show_answers
from quince.cli.errors import WrongUsage
from quince.cli.filters import Filter, with_options
from quince.cli.inputs import parse_inputs
from quince.cli.options import AsJson
from quince.cli.session import session
from quince.client.retry import retry as retry_all
from quince.processes.definition import definition_of
from quince.workspace.workspace import Workspace

app = typer.Typer()


@app.command(rich_help_panel="Control")
@with_options
def retry(
    chosen: Filter,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why; kept in the history with your name.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Go on with processes that have failed, from the step in which they did: `quince retry 17 cutoff=40`.

    Failed: they have ended, and not well, or were put aside (`on_failure = "pause"`). With one process, also
    with other inputs.
    """
    chosen, words = split_words(chosen)
    if chosen.empty:
        raise WrongUsage("say which processes to retry: pids, a filter as --failed, or --all")
    if words and not chosen.single:
        raise WrongUsage("inputs are changed of one process at a time: `quince retry PID name=value`")
    with session.workspace() as home:
        selection = chosen.selection(home)
        if missing := set(selection.trees) - {row.pid for row in home.store.select(selection)}:
            raise home.not_found(*missing)
        inputs = read_inputs(home, chosen.named(home)[0], words) if words else None
        answers = retry_all(home, selection, reason=reason, inputs=inputs)
        return show_answers("retry", answers, as_json=as_json)


def split_words(chosen: Filter) -> tuple[Filter, list[str]]:
    """The filter without the words that are inputs (`name=value`, `@file.json`), and these."""
    words = [word for word in chosen.pids or () if "=" in word or word.startswith("@")]
    pids = [word for word in chosen.pids or () if word not in words]
    return replace(chosen, pids=pids or None), words


def read_inputs(home: Workspace, pid: int, words: Sequence[str]) -> dict[str, Any]:
    """What the words mean for the ports of this process."""
    row = home.store.get(pid)
    if row is None:
        raise home.not_found(pid)
    return parse_inputs(words, definition_of(home.registry.load(row.class_path)).spec.inputs)
