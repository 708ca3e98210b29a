"""`quince daemon`: the supervised workers of this workspace on this host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import psutil
import typer

from quince.cli.daemon_view import (
    daemon_document,
    daemon_sentence,
    orphans_sentence,
    running_sentence,
    trouble_lines,
    worker_count,
    worker_table,
)
from quince.cli.documents import worker_document
from quince.cli.errors import DONE, FAILED
from quince.cli.options import AsJson
from quince.cli.output import put, say
from quince.cli.session import session
from quince.cli.tail import as_json, as_text, follow, last_lines
from quince.cli.terminal import show, show_json
from quince.daemon import operations as daemon
from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.process_tree import step_hosts_of
from quince.errors import DaemonError, WorkspaceError
from quince.monitor.fleet import workers_of
from quince.recovery.lease import process_of
from quince.settings import DEFAULT_SLOTS, GRACE_SECONDS, NO_CEILING
from quince.workspace.location import Location
from quince.workspace.neighbours import sentence_of, strangers
from quince.workspace.workspace import Workspace, make_store
from quince_messaging.errors import MessagingError
from quince_persistence.databases.sqlite_url import file_of
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Selection, State
from quince_persistence.records.workers import WorkerRow

app = typer.Typer(name="daemon", no_args_is_help=False, help="Start, stop and see the supervised workers.")


def _seconds(text: str) -> float:
    if text == "none":
        return NO_CEILING
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= NO_CEILING:
        raise ValueError("give a number of seconds, 0 or more, or `none`")
    return seconds


Timeout = Annotated[
    float | None,
    typer.Option(
        parser=_seconds,
        metavar="SECONDS",
        help=(
            f"For running steps ({GRACE_SECONDS:g}, or as said last); those that are cut off run again. "
            "`none`: as long as they need."
        ),
    ),
]


@app.callback(invoke_without_command=True, rich_help_panel="Run")
def _group(ctx: typer.Context) -> None:
    """Start, stop and see the supervised workers."""
    if ctx.invoked_subcommand is None:
        for line in ctx.get_help().split("\n"):
            put(line)


@app.command()
def start(
    workers: Annotated[int, typer.Option("--workers", "-n", min=1, help="How many workers.")] = 1,
    slots: Annotated[
        int, typer.Option(min=1, help="How many processes each worker runs at once.")
    ] = DEFAULT_SLOTS,
    queues: Annotated[
        list[str] | None, typer.Option("--queue", help="A queue to work for; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Start the daemon in the background; returns when its workers are at work."""
    settings = Settings(workers=workers, slots=slots, queues=tuple(queues or ["default"]))
    location = session.location()
    location.require_shared()
    make_store(location)
    ospid = daemon.start(location, settings)
    left = daemon.state(location).orphans
    beside = (
        f"; {', '.join(map(str, left))}, left of an earlier one, work on until their steps end"
        if left
        else ""
    )
    say(f"the daemon runs as process {ospid} with {worker_count(workers)} of {slots} slots{beside}")
    _say_who_shares(location)
    return _done(location, as_json)


def _done(location: Location, as_json: bool) -> int:
    """As a document: how the daemon stands now."""
    if as_json:
        show_json(daemon_document(daemon.state(location)))
    return DONE


def _say_who_shares(location: Location) -> None:
    with Workspace(location) as home, contextlib.suppress(PersistenceError, MessagingError):
        others, copies = strangers(home)
        if others:
            say(sentence_of(others))
        if copies:
            say("a copy of this store is at work on this broker; see `quince doctor`")


@app.command()
def stop(
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Stop the daemon: running steps are finished first. Nothing of it is left."""
    location = session.location()
    before = daemon.state(location)
    stopped = daemon.stop(location, timeout, say, lambda ospids: _what_runs(location, ospids))
    if before.orphans:
        say(f"ended what an earlier daemon had left: {', '.join(map(str, before.orphans))}")
    if stopped and before.running:
        say("the daemon has stopped")
    elif not before.orphans:
        say("no daemon was running")
    return _done(location, as_json)


@app.command()
def restart(timeout: Timeout = None, as_json: AsJson = False) -> int:
    """Replace the workers one by one, to load a new Quince; code of yours needs no restart."""
    location = session.location()
    if daemon.state(location).running:
        say(
            "replacing the workers, one by one: each works on until its new one does, and finishes its "
            "running steps (Ctrl-C ends the waiting, not the replacing)"
        )
    daemon.restart(location, timeout, say, lambda ospids: _what_runs(location, ospids))
    say("all workers are replaced")
    return _done(location, as_json)


@app.command()
def scale(
    workers: Annotated[int, typer.Argument(min=0, metavar="N", help="How many workers.")],
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> int:
    """Have N workers from now on; those that are too many finish their steps first."""
    location = session.location()
    daemon.scale(location, workers, timeout)
    say(f"{worker_count(workers)} wanted (see `quince daemon status`)")
    return _done(location, as_json)


@app.command()
def status(as_json: AsJson = False) -> int:
    """Show whether the daemon runs, and its workers; exit status 1 if it does not run."""
    location = session.location()
    state = daemon.state(location)
    workers = _workers(location, state)
    if as_json:
        documents = [worker_document(one) | {"step_hosts": step_hosts_of(one.ospid)} for one in workers]
        show_json({**daemon_document(state), "workers": documents})
    elif not state.running:
        put(
            state.elsewhere
            or orphans_sentence(state)
            or "the daemon does not run; start it with `quince daemon start`"
        )
    else:
        for line in filter(None, (daemon_sentence(state), orphans_sentence(state), *state.troubles)):
            put(line)
    if workers and not as_json:
        seen = workers_of(workers, time.time())
        show(worker_table(seen, {one.id: step_hosts_of(one.ospid) for one in workers}))
        for trouble in trouble_lines(seen):
            show(trouble)
    return DONE if state.running else FAILED


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="`daemon`, `worker-1`, ...; all if not given.")
    ] = None,
    going: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come; Ctrl-C ends.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many last lines of each.")] = 50,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON document a line, with the facts of each as fields.")
    ] = False,
) -> int:
    """Print the logs of the daemon and its workers."""
    location = session.location()
    daemon_files = DaemonFiles(location.folder)

    def wanted_files() -> list[Path]:
        return [file for file in daemon_files.logs() if name in (None, file.stem)]

    chosen = wanted_files()
    if not chosen:
        files = daemon_files.logs()
        known = ", ".join(file.stem for file in files)
        wanted = (
            f"no log is called {name!r}" if name and files else "there are no logs: no daemon has run here"
        )
        raise DaemonError(wanted + (f"; there are {known}" if known else ""))
    render = as_json if json_lines else as_text
    tails = last_lines(chosen, lines, render)
    if going:
        follow(tails, render, wanted_files)
    return DONE


def _what_runs(location: Location, ospids: Sequence[int]) -> str:
    """Which processes are in a step in these workers; nothing if the store does not say."""
    with contextlib.suppress(PersistenceError, MessagingError, WorkspaceError), Workspace(location) as home:
        names = {worker.id: worker.name for worker in home.store.workers() if worker.ospid in ospids}
        chosen = Selection(states=[State.RUNNING])
        rows = [row for row in home.store.select(chosen) if row.owner in names]
        if rows:
            return f"; there run {running_sentence(rows)}"
    return ""


def _workers(location: Location, state: daemon.DaemonState) -> list[WorkerRow]:
    """The workers that are children of the supervisor, or have outlived one, as the store has them."""
    ospids = {left.ospid for left in state.orphans}
    if state.ospid is not None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended just now
            ospids |= {process.pid for process in psutil.Process(state.ospid).children(recursive=True)}
    file = file_of(location.store)
    if not ospids or (file is not None and not file.exists()):
        return []
    with Workspace(location) as home:
        return [w for w in home.store.workers() if w.ospid in ospids and process_of(w) is not None]
