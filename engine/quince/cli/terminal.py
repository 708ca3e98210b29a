"""Where a command prints tables, trees, styled text and documents; for plain lines there is `lines`.

Text becomes terminal text here and nowhere else: made by `Text`, it is one line in which nothing acts on the
terminal, and `block` keeps its lines. Nothing is read as markup. What reaches a console all the same, as the
repr of a value may, is cleaned on its way out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import rich.text
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markdown import Markdown
from rich.segment import Segment
from rich.theme import Theme

from quince.text import UNSEEN, in_line, visible

_WIDE = 100_000
"""Columns of an output that nobody looks at directly: no cell is cut for it."""

Styled = rich.text.Text
"""Styled text of one line or more."""

NEWLINE = Styled("\n")


class Text(rich.text.Text):
    """Styled text on one line. What begins another one is `NEWLINE`, or a `block`."""

    def __init__(self, text: str = "", *arguments: Any, **options: Any) -> None:
        super().__init__(in_line(text), *arguments, **options)

    def append(self, text: Styled | str, style: Any = None) -> Text:
        super().append(in_line(text) if isinstance(text, str) else text, style)
        return self


def block(text: str, style: str = "", *, indent: int = 0) -> Styled:
    """Styled text with its lines kept, all but the first indented by so many blanks."""
    return Styled(visible(text).replace("\n", "\n" + " " * indent), style)


class _SafeConsole(Console):
    """A console that reads no markup, and lets nothing through that acts on the terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Styled:
        return super().render_str(in_line(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        return _cleaned(super().render(renderable, options))


def _cleaned(segments: Iterable[Segment]) -> Iterator[Segment]:
    for segment in segments:
        text, style, control = segment
        if control or text.isprintable() or (clean := visible(text)) == text:
            yield segment
        else:
            yield Segment(clean, style)


def out() -> Console:
    """The console of results. Piped, it has no colours and cuts nothing."""
    return _SafeConsole(soft_wrap=False, width=None if sys.stdout.isatty() else _WIDE)


def err() -> Console:
    """The console of what is shown while one waits."""
    return _SafeConsole(stderr=True, soft_wrap=True)


def show(renderable: RenderableType) -> None:
    """Print a table, a tree or text on stdout; piped, without trailing blanks."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as captured:
        console.print(renderable)
    lines = captured.get().removesuffix("\n").split("\n")
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines))
    sys.stdout.flush()  # a reader of a growing log at the other end of a pipe sees it now


def show_markdown(text: str, *, styled: str) -> None:
    """Print a page of Markdown.

    Args:
        text: What is printed into files and pipes.
        styled: What is laid out on a terminal, in a pager if it is long.
    """
    console = out()
    if not console.is_terminal:
        sys.stdout.write(text)
        return
    console.push_theme(Theme({"markdown.code": "bold cyan"}))  # its own is on black, also in light terminals
    page = Markdown(styled, hyperlinks=False, code_theme="ansi_dark")
    lines = console.render_lines(page)
    if len(lines) < console.height:
        console.print(page)
        return
    os.environ.setdefault("LESS", "-R")  # as `git` does: colours are colours
    with console.pager(styles=True):
        console.print(page)


_kept: list[int] = []
"""Descriptor of the stdout that `reserve_stdout` has put aside, if it has."""


def reserve_stdout() -> None:
    """Send to stderr whatever this program, or what it starts, prints from here on, but the document."""
    if not _kept:
        sys.stdout.flush()
        _kept.append(os.dup(sys.stdout.fileno()))
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def show_documents(documents: Sequence[Any], *, single: bool) -> None:
    """Print one JSON document for each process: alone if one process was named, else as a list."""
    show_json(documents[0] if single else documents)


def show_json(document: Any) -> None:
    """Print the one JSON document of a command with `--json`.

    It says what is stored, character for character: those that act on a terminal are in JSON's own escapes.
    """
    while _kept:
        sys.stdout.flush()
        os.dup2(kept := _kept.pop(), sys.stdout.fileno())
        os.close(kept)
    print(json_text(document, indent=2 if sys.stdout.isatty() else None))


def json_text(document: Any, *, indent: int | None = None) -> str:
    """A document as this stdout can take it, acting on no terminal; without `indent`, on one line."""
    ascii_only = not sys.stdout.encoding.lower().startswith("utf")
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)
