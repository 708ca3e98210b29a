"""`quince restart`: a new process that begins where another one stood."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quince.cli.documents import row_document
from quince.cli.errors import DONE, WrongUsage
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put, say
from quince.cli.progress import going_on, watch
from quince.cli.results import show_end
from quince.cli.retry import read_inputs, split_words
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.restart import restart as begin_anew
from quince.client.why import nobody_works
from quince.monitor.filters import Filter, pid_named
from quince_persistence.records import ProcessRow
from quince_persistence.records.controls import Restarted

app = typer.Typer()


@app.command(rich_help_panel="Control")
def restart(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PID [NAME=VALUE]...",
            show_default=False,
            help="The process, by pid or by key; and the inputs that are others in the new one.",
        ),
    ],
    from_step: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STEP",
            help="Before which step it begins; STEP#2: before its second time. If not given: the one that it "
            "stands or stopped at; of one that ended well, the first.",
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why; kept in the history with your name.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for its end and print its outputs.")
    ] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Begin anew, as a new process, before a step of another one, and share what that has got done.

    Prints the new pid. `quince show PID` lists the steps.
    """
    chosen, given = split_words(Filter(pids=words))
    if len(chosen.pids or ()) != 1:
        raise WrongUsage("say which process is to be begun anew: `quince restart PID [name=value ...]`")
    with session.workspace() as home:
        pid = pid_named(home, (chosen.pids or [""])[0])
        inputs = read_inputs(home, pid, given) if given else None
        made = begin_anew(home, pid, from_step, inputs=inputs, reason=reason)
        row = next(one for one in made.made if one.pid == made.pid)
        with going_on([made.pid]):
            if not as_json:
                _say(row, made, to_stderr=wait)
            if (nobody := nobody_works(home, row)) is not None:
                say(nobody)
            if wait:
                watch(home, [made.pid], timeout)
                return show_end(home, made.pid, as_json=as_json)
            if as_json:
                also = [one.pid for one in made.made if one.pid != made.pid]
                show_json(row_document(row) | {"from": made.step, "anew": also, "shared": list(made.shared)})
    return DONE


def _say(row: ProcessRow, made: Restarted, *, to_stderr: bool) -> None:
    """The pid: alone if a program reads it, in a sentence for people."""
    parts = [f"{row.options.restart_of} begins anew as {made.pid}, from {made.step or 'its first step'}"]
    anew = [f"{one.options.restart_of} as {one.pid}" for one in made.made if one.pid != made.pid]
    if anew:
        parts.append(f"with {', '.join(anew)}")
    if made.shared:
        parts.append(f"shares {', '.join(map(str, made.shared))}")
    if to_stderr:
        say("; ".join(parts))
    else:
        put("; ".join(parts) if sys.stdout.isatty() else str(made.pid))
