"""The man page `quince.1`, made from the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

from quince.cli.reference.commands import Command, Parameter, commands

ABOUT = "run, see and steer workflows of processes"
STATUS = (("0", "Done."), ("1", "Refused or failed."), ("2", "Wrong usage."), ("130", "Interrupted."))
VARIABLES = (
    ("QUINCE_STORE, QUINCE_BROKER", "URL of the store and URI of the broker; before what quince.toml says."),
    ("QUINCE_TRUST", "Folders of others that are believed, separated by colons."),
    ("QUINCE_DEBUG", "1: show the traceback of an error."),
    ("QUINCE_LOG, QUINCE_LOG_FORMAT", "The level of the logs, as DEBUG; json: a JSON document a line."),
)
FILES = (
    ("quince.toml", "Makes its folder a workspace, and says where its store and its broker are."),
    (".quince/", "Makes its folder a workspace too: the embedded store, logs, and what steps have printed."),
)


def man_page() -> str:
    """Its source, in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    everything = commands()
    yield f'.TH QUINCE 1 "" "quince {version("quince")}" "User Commands"'
    yield from (".SH NAME", rf"quince \- {ABOUT}")
    yield from (".SH SYNOPSIS", r".B quince", r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", *_text(everything[0].help), ".PP")
    yield r"\fBquince help\fR shows the chapters of the documentation, \fBquince help TOPIC\fR one of them."
    yield from (".SH OPTIONS", *_parameters(everything[0]), ".SH COMMANDS")
    for command in everything[1:]:
        yield from (f".SS {_escaped(' '.join(command.words))}", *_text(command.help), ".PP", ".nf")
        yield from (_escaped(command.usage), ".fi", *_parameters(command))
    yield from (".SH EXIT STATUS", *_list(STATUS), ".SH ENVIRONMENT", *_list(VARIABLES))
    yield from (".SH FILES", *_list(FILES))


def _parameters(command: Command) -> Iterator[str]:
    for one in command.parameters:
        yield from (".TP", _shown(one), *_text(one.help + (f" ({one.default})" if one.default else "")))


def _shown(one: Parameter) -> str:
    if one.positional:
        return rf"\fI{_escaped(one.shown)}\fR"
    names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in one.names)
    return names + (rf" \fI{_escaped(one.metavar)}\fR" if one.metavar else "")


def _list(pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, text in pairs:
        yield from (".TP", rf"\fB{_escaped(name)}\fR", *_text(text))


def _text(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        words = re.sub(r"`([^`]*)`", "\0B\\1\0R", " ".join(paragraph.split()))
        yield _escaped(words).replace("\0", r"\f")


def _escaped(text: str) -> str:
    """A line of text in which nothing is a request of roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + text if text.startswith((".", "'")) else text
