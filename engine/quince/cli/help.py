"""`quince help`: the documentation in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from quince.cli import pages
from quince.cli.errors import DONE, WrongUsage
from quince.cli.output import put
from quince.cli.reference.commands import commands
from quince.cli.reference.man import man_page
from quince.cli.reference.markdown import command_section, commands_page
from quince.cli.reference.names import name_section, names_page
from quince.cli.terminal import show_markdown
from quince.text import close_to

app = typer.Typer()

MADE: dict[str, Callable[[], str]] = {"commands": commands_page, "python": names_page}
"""Chapters that are made from the code."""


@app.command(name="help", rich_help_panel="Look")
def help_(
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC", show_default=False,
            help="A chapter, a command as `limit set`, or a name as `Retry`; without one, what there is.",
        ),
    ] = None,
    man: Annotated[bool, typer.Option("--man", help="Print the source of the man page quince(1).")] = False,
) -> int:  # fmt: skip
    """Show the documentation: which chapters there are, or one of them."""
    if man:
        for line in man_page().splitlines():
            put(line)
    else:
        text = text_of(" ".join(topic or [pages.INDEX]))
        show_markdown(text, styled=pages.for_terminals(text))
    return DONE


def text_of(topic: str) -> str:
    """The chapter of that name, or what is said of a command or a name of Python.

    Raises:
        WrongUsage: there is none; says which there are.
    """
    word = topic.removeprefix("quince ")
    found = (
        MADE[word]() if word in MADE else pages.chapter(word) or command_section(word) or name_section(word)
    )
    if found is None:
        known = {**pages.topics(), **dict.fromkeys(command.name for command in commands())}
        topics = ", ".join(pages.topics())
        raise WrongUsage(f"there is no topic {topic!r}{close_to(word, known)}; the chapters are {topics}")
    return found
