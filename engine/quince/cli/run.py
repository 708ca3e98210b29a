"""`quince run` and `quince submit`: from a target and words to a process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quince.cli.documents import plain, row_document
from quince.cli.errors import DONE
from quince.cli.formatting import class_name
from quince.cli.inputs import parse_inputs
from quince.cli.options import AsJson, Timeout
from quince.cli.output import put, say
from quince.cli.progress import told_if_interrupted, watch
from quince.cli.results import show_end, show_values
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.handle import ProcessHandle
from quince.client.submit import submit_many
from quince.client.why import nobody_works
from quince.errors import ResultUnavailable
from quince.logs import log_to_stderr
from quince.processes.process import new_process
from quince.worker.inline import RunInterrupted
from quince.worker.inline import run as run_here
from quince.workspace.class_loader import load_target
from quince.workspace.workspace import Workspace
from quince_persistence.codec import decode
from quince_persistence.records import ProcessRow

app = typer.Typer()

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="module:Class or file.py:Class (the class may be left out if there is one)."
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME=VALUE", show_default=False,
        help="Inputs, as their ports say, or JSON; a.b=value for namespaces; @file.json for many.",
    ),
]  # fmt: skip
Key = Annotated[str | None, typer.Option("--key", help="At most one process has a given key.")]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="9 goes first.")]


@app.command(rich_help_panel="Run")
def run(
    target: Target, words: Words = None, key: Key = None, priority: Priority = 0, as_json: AsJson = False
) -> int:
    """Run a process and its children here and now, without a daemon, and print its outputs."""
    parse_inputs(words or [])
    with session.workspace(make=True) as home:
        cls = load_target(target, home.registry)
        inputs = _inputs(cls, words or [])
        _report_to_stderr()
        holder = _holder(home, key)
        if holder is not None:
            _tell_taken(home, cls, inputs, holder)
        try:
            outputs = run_here(cls, key=key, priority=priority, workspace=home, inputs=inputs)
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


@app.command(rich_help_panel="Run")
def submit(
    target: Target,
    words: Words = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for its end and print its outputs.")
    ] = False,
    timeout: Timeout = None,
    key: Key = None,
    queue: Annotated[str, typer.Option("--queue", help="Which workers run it.")] = "default",
    priority: Priority = 0,
    as_json: AsJson = False,
) -> int:
    """Submit a process to the daemon, which runs it now, or when it comes. Prints its pid."""
    parse_inputs(words or [])
    with session.workspace(make=True) as home:
        cls = load_target(target, home.registry)
        inputs = _inputs(cls, words or [])
        holder = _holder(home, key)
        (handle,) = submit_many(cls, [inputs], keys=[key], queue=queue, priority=priority, workspace=home)
        with told_if_interrupted([handle.pid]):
            if holder is not None:
                _tell_taken(home, cls, inputs, holder)
            if not as_json:
                _tell(handle, to_stderr=wait)
            _warn_if_nobody_works(handle)
            if wait:
                watch(home, [handle.pid], timeout)
        if wait:
            return show_end(home, handle.pid, as_json=as_json)
        if as_json:
            show_json(row_document(handle.row))
    return DONE


def _inputs(cls: Any, words: Sequence[str]) -> dict[str, Any]:
    """The inputs, checked before anything is opened or made."""
    inputs = parse_inputs(words, cls.spec().inputs)
    new_process(getattr(cls, "process_class", cls), inputs, pid=0, class_path="")
    return inputs


def _holder(home: Workspace, key: str | None) -> ProcessRow | None:
    """The process that has the key already."""
    return None if key is None else home.store.find_key(key)


def _tell_taken(home: Workspace, cls: Any, inputs: dict[str, Any], holder: ProcessRow) -> None:
    """That no process is made, and whether the one that is there was asked for something else."""
    cls = getattr(cls, "process_class", cls)
    path = home.registry.name_of(cls)
    wanted = new_process(cls, inputs, pid=holder.pid, class_path=path)
    stored = home.store.inputs(holder.pid)
    if path != holder.class_path:
        differs = f"; it is a {holder.class_path}"
    elif stored is not None and plain(decode(stored)) != plain(decode(wanted.inputs)):
        differs = "; its inputs differ"
    else:
        differs = ""
    say(f"key {holder.key} is taken by process {holder.pid}, which is returned{differs}")


def _tell(handle: ProcessHandle, *, to_stderr: bool) -> None:
    """The pid: alone if a program reads it, in a sentence for people."""
    row = handle.row
    if to_stderr:
        say(f"submitted {row.pid} ({class_name(row)})")
    elif sys.stdout.isatty():
        put(f"submitted {row.pid} ({class_name(row)})")
    else:
        put(str(row.pid))


def _warn_if_nobody_works(handle: ProcessHandle) -> None:
    nobody = nobody_works(handle.workspace, handle.row)
    if nobody is not None:
        say(nobody)


def _report_to_stderr() -> None:
    """What the steps report appears while they run; how they end is told by the command itself."""
    logger = logging.getLogger("quince.process")
    logger.setLevel(logging.INFO)
    logger.addHandler(log_to_stderr("%(message)s"))
    logging.getLogger("quince.worker").setLevel(logging.ERROR)
