"""The reference of the command line, as a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from quince.cli.reference.commands import Command, Parameter, commands

HEAD = """\
# Commands

What `quince --help` and `quince COMMAND --help` say, in one page. Exit status: 0 done, 1 refused or failed,
2 wrong usage, 130 interrupted. Verbs that take pids take several, keys in their place, and the filters of
`quince ps`; `--json` prints one JSON document and nothing else. `--debug`, anywhere, shows the traceback of
an error.
"""


def commands_page() -> str:
    """All commands, each with its options."""
    return HEAD + "".join(f"\n{_section(command)}" for command in commands())


def command_section(name: str) -> str | None:
    """One command, with those that it has, or None if there is none of that name."""
    found = [one for one in commands() if one.name == name or one.name.startswith(f"{name} ")]
    return "\n".join(_section(one) for one in found) if found and name else None


def _section(command: Command) -> str:
    heading = "##" if len(command.words) <= 2 else "###"
    lines = [f"{heading} `{' '.join(command.words)}`", "", *_body(command)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _body(command: Command) -> Iterator[str]:
    yield from (_plain(command.help), "", f"    {command.usage}", "")
    if command.has:
        yield from ("Commands: " + ", ".join(f"`{name}`" for name in command.has) + ".", "")
    if command.parameters:
        yield from ("| | |", "|---|---|")
        yield from (f"| {_names(one)} | {_cell(one)} |" for one in command.parameters)


def _names(one: Parameter) -> str:
    if one.positional:
        return f"`{one.shown}`"
    names = ", ".join(f"`{name}`" for name in one.names)
    return f"{names} {_escaped(one.metavar)}".rstrip()


def _cell(one: Parameter) -> str:
    text = _escaped(one.help)
    if one.several and not one.positional and "several times" not in one.help:
        text += " Several times."
    return text + (f" ({_escaped(one.default)})" if one.default else "")


def _escaped(text: str) -> str:
    parts = re.split(r"(`[^`]*`)", text.replace("|", r"\|"))
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[])", r"\\\1", part) for part in parts)


def _plain(text: str) -> str:
    return "\n\n".join(_escaped(" ".join(part.split())) for part in text.split("\n\n"))
