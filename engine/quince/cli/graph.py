"""`quince graph`: the outline of a class, or a tree of processes, as a picture."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from quince.cli.errors import DONE, WrongUsage
from quince.cli.output import put, say
from quince.cli.session import session
from quince.errors import EngineError, InvalidFilter
from quince.monitor.code import marked
from quince.monitor.declared import code_of
from quince.monitor.filters import pid_named
from quince.monitor.graph.boxes import Graph
from quince.monitor.graph.mermaid import mermaid_of
from quince.monitor.graph.outlines import outline_graph
from quince.monitor.graph.processes import tree_graph
from quince.monitor.graph.svg import svg_of
from quince.monitor.monitor import Monitor
from quince.processes.definition import class_of
from quince.workspace.class_loader import ClassLoader, load_target
from quince.workspace.workspace import Workspace

app = typer.Typer()

MOST = 300
"""Processes of a tree that are drawn."""


class Format(enum.StrEnum):
    """What is written."""

    SVG = "svg"
    MERMAID = "mermaid"


_SUFFIXES = {".svg": Format.SVG, ".mmd": Format.MERMAID, ".md": Format.MERMAID, ".mermaid": Format.MERMAID}


@app.command(rich_help_panel="Look")
def graph(
    what: Annotated[
        str,
        typer.Argument(metavar="PID|TARGET", help="A process (pid or key), or module:Class, file.py:Class."),
    ],
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="What is written.", show_default="as FILE is called, else svg"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")
    ] = None,
    outline: Annotated[
        bool, typer.Option("--outline", help="Of a process: its outline, with the step marked it is in.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many processes of a tree.")
    ] = MOST,
) -> int:
    """Draw the outline of a class, or the tree of a process as it was executed so far."""
    suffix = None if output is None else _SUFFIXES.get(output.suffix.lower())
    if _is_target(what):
        drawn = _of_class(what)
    else:
        with session.workspace() as home:
            drawn = _of_process(home, what, outline=outline, limit=limit)
    text = mermaid_of(drawn) if (kind or suffix) is Format.MERMAID else svg_of(drawn)
    if output is None:
        for line in text.splitlines():
            put(line)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"wrote {output}")
    return DONE


def _of_class(target: str) -> Graph:
    """The outline of a class, which needs no store."""
    place = session.location()
    registry = ClassLoader(place.folder, place.allowed)
    cls = class_of(load_target(target, registry))
    return outline_graph(code_of(cls, registry.name_of(cls)))


def _of_process(home: Workspace, what: str, *, outline: bool, limit: int) -> Graph:
    """The tree of a process, or its outline."""
    try:
        pid = pid_named(home, what)
    except InvalidFilter as error:
        raise WrongUsage(str(error)) from error
    monitor = Monitor(home)
    if not outline:
        return tree_graph(monitor.tree(pid, limit=limit))
    row = monitor.row(pid)
    code = monitor.code(row.class_path)
    if code.error is not None:
        raise EngineError(f"{row.class_path} has no outline that can be drawn: {code.error}")
    return outline_graph(marked(code, row.step))


def _is_target(what: str) -> bool:
    """It is `module:Class` or a file, and no pid, nor the key of a process said so (`key:...`)."""
    return not what.isdecimal() and not what.startswith("key:") and (":" in what or what.endswith(".py"))
