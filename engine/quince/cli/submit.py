"""`quince submit`: a process for the daemon."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from quince.cli.documents import row_document
from quince.cli.errors import DONE
from quince.cli.filters import with_options
from quince.cli.inputs import parse_inputs
from quince.cli.new_process import Asked, Target, Words, checked_inputs, holder_of, say_taken
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put, say
from quince.cli.progress import going_on, watch
from quince.cli.results import show_end
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.submit import submit_each
from quince.client.why import nobody_works
from quince.monitor.words import class_name
from quince.workspace.class_loader import load_target
from quince_persistence.records import ProcessRow

app = typer.Typer()


@app.command(rich_help_panel="Run")
@with_options
def submit(
    *,
    target: Target,
    words: Words = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for its end and print its outputs.")
    ] = False,
    timeout: Timeout = None,
    queue: Annotated[str, typer.Option("--queue", help="Which workers run it.")] = "default",
    asked: Asked,
    as_json: AsJson = False,
) -> int:
    """Submit a process to the daemon, which runs it now, or when it comes. Prints its pid."""
    parse_inputs(words or [])
    wishes = asked.wishes()
    with session.workspace(make=True) as home:
        cls = load_target(target, home.registry)
        inputs = checked_inputs(cls, words or [], wishes)
        holder = holder_of(home, asked.key)
        (handle,) = submit_each(cls, [inputs], [replace(wishes, queue=queue)], home)
        with going_on([handle.pid]):
            if holder is not None:
                say_taken(home, cls, inputs, holder)
            if not as_json:
                _say_pid(handle.row, to_stderr=wait)
            if (nobody := nobody_works(home, handle.row)) is not None:
                say(nobody)
            if wait:
                watch(home, [handle.pid], timeout)
                return show_end(home, handle.pid, as_json=as_json)
            if as_json:
                show_json(row_document(handle.row))
    return DONE


def _say_pid(row: ProcessRow, *, to_stderr: bool) -> None:
    """The pid: alone if a program reads it, in a sentence for people."""
    sentence = f"submitted {row.pid} ({class_name(row)})"
    if to_stderr:
        say(sentence)
    else:
        put(sentence if sys.stdout.isatty() else str(row.pid))
