"""`quince run`: a process here and now."""

from __future__ import annotations

import logging

import typer

from quince.cli.documents import plain
from quince.cli.errors import DONE
from quince.cli.filters import with_options
from quince.cli.inputs import parse_inputs
from quince.cli.new_process import Asked, Target, Words, checked_inputs, holder_of, say_taken
from quince.cli.options import AsJson
from quince.cli.output import say
from quince.cli.results import show_end, show_values
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.errors import ResultUnavailable
from quince.logs import log_to_stderr
from quince.worker.inline import RunInterrupted
from quince.worker.inline import run as run_here
from quince.workspace.class_loader import load_target

app = typer.Typer()


@app.command(rich_help_panel="Run")
@with_options
def run(
    *,
    target: Target,
    words: Words = None,
    asked: Asked,
    as_json: AsJson = False,
) -> int:
    """Run a process and its children here and now, without a daemon, and print its outputs."""
    parse_inputs(words or [])
    wishes = asked.wishes()
    with session.workspace(make=True) as home:
        cls = load_target(target, home.registry)
        inputs = checked_inputs(cls, words or [], wishes)
        _report_to_stderr()
        holder = holder_of(home, asked.key)
        if holder is not None:
            say_taken(home, cls, inputs, holder)
        try:
            outputs = run_here(
                cls,
                inputs=inputs,
                key=wishes.key,
                priority=wishes.priority,
                labels=wishes.labels,
                limits=wishes.limits,
                on_failure=wishes.on_failure,
                deadline=wishes.deadline,
                cache=wishes.cache,
                workspace=home,
            )
        except RunInterrupted as interruption:
            say(f"interrupted; {interruption}")
            raise
        except ResultUnavailable as error:
            return show_end(home, error.pid, as_json=as_json)
        if as_json:
            show_json({"state": "finished", "exit_status": 0, "outputs": plain(outputs)})
        else:
            show_values(outputs)
    return DONE


def _report_to_stderr() -> None:
    """What the steps report appears while they run; how they end is printed by the command itself."""
    logger = logging.getLogger("quince.process")
    logger.setLevel(logging.INFO)
    logger.addHandler(log_to_stderr("%(message)s"))
    logging.getLogger("quince.worker").setLevel(logging.ERROR)
