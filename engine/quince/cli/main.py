"""The command line `quince`: finds the command, loads its module alone, and ends with a status.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc

_COLLECTS = gc.isenabled()
gc.disable()  # modules are no garbage; to look for some while they are loaded is a fifth of a command's start

import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from quince.cli.completion.scripts import install_scripts
from quince.cli.errors import report_errors
from quince.cli.output import put, trace_threads
from quince.cli.session import session
from quince.logs import LineFormatter

if _COLLECTS:
    gc.enable()

COMMANDS = {
    **{
        name: f"quince.cli.{name}"
        for name in (
            "init", "status", "doctor", "copy", "run", "submit", "daemon", "worker",
            "ps", "show", "tree", "graph", "logs", "why", "result", "wait", "web", "help",
        )
    },
    **dict.fromkeys(("pause", "play", "kill"), "quince.cli.control"),
    "retry": "quince.cli.retry",
    "prune": "quince.cli.prune",
    "restart": "quince.cli.restart",
    "signal": "quince.cli.signal",
    "set": "quince.cli.set",
    "schedule": "quince.cli.schedule",
    "limit": "quince.cli.limit",
    "top": "quince.cli.top",
    "notify": "quince.cli.notify",
    "metrics": "quince.cli.metrics",
}  # fmt: skip
"""Which module has which command, in the order of the help; a module is imported when it is needed."""


class LazyGroup(TyperGroup):
    """A group whose commands are in the modules of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        group = get_group(importlib.import_module(COMMANDS[cmd_name]).app)
        return group if group.name == cmd_name else group.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            self.commands.update(dict.fromkeys(COMMANDS))  # type: ignore[arg-type]  # names, for a suggestion
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=LazyGroup, name="quince", rich_markup_mode="rich", add_completion=True)


def _version(wanted: bool) -> None:
    if wanted:
        put(f"quince {version('quince')}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _quince(
    ctx: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", "-C", metavar="FOLDER", help="The workspace; found from here if not given."
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also QUINCE_DEBUG=1).")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Quince runs workflows of processes: checkpointed, on daemons, under your control."""
    session.folder = workspace
    session.debug = session.debug or debug
    if ctx.invoked_subcommand is None:
        for line in ctx.get_help().split("\n"):
            put(line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the interpreter with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no glyph stops a command, whatever the locale
    trace_threads()
    gc.freeze()
    if logging.lastResort is not None:  # what says a warning where nobody has set logging up
        logging.lastResort.setFormatter(LineFormatter("%(message)s"))
    for driver in ("aio_pika", "aiormq"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)  # what fails is said once, by us
    words = list(sys.argv[1:] if arguments is None else arguments)
    session.debug = "--debug" in words or os.environ.get("QUINCE_DEBUG", "") not in ("", "0")
    words = [word for word in words if word != "--debug"]  # wherever it stands
    install_scripts()
    with report_errors():
        status = get_command(app).main(args=words, prog_name="quince", standalone_mode=False)
        raise SystemExit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
