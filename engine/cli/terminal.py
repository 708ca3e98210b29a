"""Where a command prints: results on stdout, words for people beside them on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rich.console import Console, RenderableType

from engine.text import visible

_WIDE = 100_000
"""Columns of an output that nobody looks at directly: no cell is cut for it."""


def out() -> Console:
    """The console of results. Piped, it has no colours and cuts nothing."""
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _WIDE)


def err() -> Console:
    """The console of words for people that are no results."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show(renderable: RenderableType) -> None:
    """Print a table, a tree or text on stdout; piped, without trailing blanks."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()  # whoever reads a growing log at the other end of a pipe sees it now


_kept: list[int] = []
"""Descriptor of the stdout that `keep_stdout` has put aside, if it has."""


def keep_stdout() -> None:
    """Send to stderr whatever this program, or what it starts, prints from here on, but the document."""
    if not _kept:
        sys.stdout.flush()
        _kept.append(os.dup(sys.stdout.fileno()))
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def show_json(document: Any) -> None:
    """Print the one JSON document of a command with `--json`."""
    while _kept:
        sys.stdout.flush()
        os.dup2(kept := _kept.pop(), sys.stdout.fileno())
        os.close(kept)
    ascii_only = not sys.stdout.encoding.lower().startswith("utf")
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(document, indent=indent, ensure_ascii=ascii_only, allow_nan=False))


def say(sentence: str) -> None:
    """A word for people, beside the result."""
    err().print(visible(sentence), markup=False)
