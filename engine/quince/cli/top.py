"""`quince top`: all of it, live, in a terminal."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.filters import Filter, with_options
from quince.cli.output import complain
from quince.cli.session import session
from quince.monitor.monitor import Monitor

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def top(chosen: Filter) -> int:
    """Show processes, workers, queues, limits and schedules live, with keys to control them."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "") in ("", "dumb"):
        raise WrongUsage("top wants a terminal; `quince ps`, `tree` and `status` print to whatever there is")
    try:
        importlib.import_module("textual")
    except ImportError:
        complain('`quince top` needs textual: pip install "quince[tui]"')
        return FAILED
    program: Callable[..., Any] = importlib.import_module("quince.top.app").QuinceTop
    with session.workspace() as home:
        monitor = Monitor(home)
        chosen.selection(
            home
        )  # what cannot be, and that the store is away, is said before the screen is taken
        monitor.counts()
        shown = program(monitor, chosen.words())
        shown.run()
        if (failed := shown._exception) is not None:
            raise failed
    return DONE
