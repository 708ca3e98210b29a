"""What the command line has, read from the commands: for the reference, the man page and completion."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from typer.main import get_command

from quince.cli.main import app


@dataclass(frozen=True)
class Parameter:
    """An argument or an option.

    Attributes:
        names: How an option is written, the longest first; the one metavar of an argument.
        metavar: What stands for its value; empty if it has none.
        default: What holds if it is not given, as it is shown; empty if nothing is.
        several: It may be given more than once.
        panel: Under which heading the help has it.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    positional: bool
    required: bool
    default: str
    several: bool
    panel: str

    @property
    def shown(self) -> str:
        """As it is written: `--state STATE`, `[PID]...`."""
        if not self.positional:
            return f"{', '.join(self.names)} {self.metavar}".rstrip()
        word = self.metavar if self.required else f"[{self.metavar}]"
        return word + ("..." if self.several else "")


@dataclass(frozen=True)
class Command:
    """A command, or one of the commands of a command.

    Attributes:
        words: What is written to call it: `("quince", "limit", "set")`.
        help: Its text, with paragraphs.
        panel: Under which heading the help has it.
        has: Names of the commands that it has.
    """

    words: tuple[str, ...]
    help: str
    parameters: tuple[Parameter, ...]
    panel: str
    has: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Without the program: `limit set`."""
        return " ".join(self.words[1:])

    @property
    def usage(self) -> str:
        """One line that shows how it is called."""
        options = ["[OPTIONS]"] if any(not parameter.positional for parameter in self.parameters) else []
        words = [parameter.shown for parameter in self.parameters if parameter.positional]
        return " ".join([*self.words, *options, *words, *(["COMMAND"] if self.has else [])])

    @property
    def summary(self) -> str:
        """Its first line."""
        return self.help.partition("\n")[0]


@cache
def commands() -> tuple[Command, ...]:
    """All of them, in the order of the help; the first one is `quince` itself."""
    return tuple(_below(get_command(app), ("quince",)))


def _below(command: Any, words: tuple[str, ...]) -> Iterator[Command]:
    inner = {} if not hasattr(command, "list_commands") else _inner(command)
    parameters = tuple(_parameter(one) for one in command.params if not one.hidden and one.name != "help")
    panel = command.rich_help_panel
    yield Command(
        words, inspect.cleandoc(command.help or ""), parameters, panel if isinstance(panel, str) else "",
        tuple(inner),
    )  # fmt: skip
    for name, one in inner.items():
        yield from _below(one, (*words, name))


def _inner(group: Any) -> dict[str, Any]:
    found = {name: group.get_command(None, name) for name in group.list_commands(None)}
    return {name: one for name, one in found.items() if not one.hidden}


def _parameter(one: Any) -> Parameter:
    positional = one.param_type_name == "argument"
    flag = bool(getattr(one, "is_flag", False) or getattr(one, "count", False))
    metavar = (one.metavar or (one.name or "").upper()).strip("[]")
    options = (*sorted(one.opts, key=len, reverse=True), *one.secondary_opts)
    names = (metavar,) if positional else options
    return Parameter(
        names=names,
        metavar="" if flag else metavar,
        help=" ".join((one.help or "").split()),
        positional=positional,
        required=bool(one.required),
        default=_default(one, flag),
        several=bool(one.nargs == -1 or getattr(one, "multiple", False)),
        panel=one.rich_help_panel if isinstance(one.rich_help_panel, str) else "",
    )


def _default(one: Any, flag: bool) -> str:
    if isinstance(one.show_default, str):
        return one.show_default
    if (
        flag
        or not one.show_default
        or one.default is None
        or one.default in ("", ())
        or callable(one.default)
    ):
        return ""
    return str(one.default)
