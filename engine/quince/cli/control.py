"""`quince pause`, `play` and `kill`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.filters import Filter, with_options
from quince.cli.options import AsJson, Timeout
from quince.cli.output import complain, put, say
from quince.cli.session import session
from quince.cli.terminal import show_json
from quince.client.control import Answer, control
from quince.errors import WaitTimeout
from quince.workspace.workspace import Workspace
from quince_persistence.records import Control, Selection

app = typer.Typer()

SHOWN = 20
"""How many answers get a line of their own."""


@dataclass(frozen=True)
class Request:
    """How processes are to be controlled, as it was written."""

    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why; kept in the history with your name.")
    ] = None
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until it is applied, not only accepted.")
    ] = False
    timeout: Timeout = None
    as_json: AsJson = False


@app.command(rich_help_panel="Control")
@with_options
def pause(
    chosen: Filter,
    request: Request,
    now: Annotated[
        bool, typer.Option("--now", help="Stop a step that runs in its midst, with its programs.")
    ] = False,
) -> int:
    """Stop processes after the step they are in, until they are played again."""
    return _control(Control.PAUSE, chosen, request, now=now)


@app.command(rich_help_panel="Control")
@with_options
def play(chosen: Filter, request: Request) -> int:
    """Let paused processes go on."""
    return _control(Control.PLAY, chosen, request)


@app.command(rich_help_panel="Control")
@with_options
def kill(
    chosen: Filter,
    request: Request,
    force: Annotated[bool, typer.Option("--force", help="Give a step that runs no time to end.")] = False,
) -> int:
    """End processes, and all their descendants."""
    return _control(Control.KILL, chosen, request, force=force)


def _control(
    verb: Control, chosen: Filter, request: Request, *, force: bool = False, now: bool = False
) -> int:
    if chosen.empty:
        raise WrongUsage(f"say which processes to {verb}: pids, a filter as --state waiting, or --all")
    with session.workspace() as home:
        selection = chosen.selection(home, live=chosen.everything or chosen.narrowed)
        answers = _ask(home, verb, selection, request.reason, force=force, now=now)
        late: WaitTimeout | None = None
        if request.wait:
            answers, late = _await(answers, request.timeout)
        status = show_answers(verb, answers, as_json=request.as_json)
    if late is not None:
        raise late
    return status


def show_answers(verb: str, answers: Sequence[Answer], *, as_json: bool) -> int:
    """Print them; those that are refused to standard error. The exit status."""
    if as_json:
        show_json([_document(answer) for answer in answers])
    else:
        _print(verb, answers)
    for answer in answers:
        if not answer.accepted:
            complain(answer.message)
    return DONE if all(answer.accepted for answer in answers) else FAILED


def _ask(
    home: Workspace, verb: Control, selection: Selection, reason: str | None, *, force: bool, now: bool
) -> list[Answer]:
    if selection.trees:  # the store answers for those that it finds; a root that is missing is an error
        roots = home.store.select(Selection(pids=selection.trees))
        if missing := set(selection.trees) - {root.pid for root in roots}:
            raise home.not_found(*missing)
    return control(home, verb, selection, reason=reason, force=force, now=now)


def _await(answers: Sequence[Answer], timeout: float | None) -> tuple[list[Answer], WaitTimeout | None]:
    """The answers as they stand when all are applied, or the time is over for one."""
    deadline = None if timeout is None else time.monotonic() + timeout
    done: list[Answer] = []
    late: WaitTimeout | None = None
    for answer in answers:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            done.append(answer.wait(left))
        except WaitTimeout as error:
            late = late or error
            done.append(answer)
    return done, late


def _print(verb: str, answers: Sequence[Answer]) -> None:
    accepted = [answer for answer in answers if answer.accepted]
    for answer in accepted[:SHOWN]:
        put(f"{answer.pid} {answer.message}")
    if len(accepted) > SHOWN:
        applied = sum(answer.applied for answer in accepted)
        say(f"... {len(accepted)} processes in all: {applied} applied, {len(accepted) - applied} accepted")
    if not answers:
        say(f"there is no such process to {verb}")


def _document(answer: Answer) -> dict[str, Any]:
    return {
        "pid": answer.pid,
        "verb": str(answer.verb),
        "accepted": answer.accepted,
        "applied": answer.applied,
        "message": answer.message,
    }
