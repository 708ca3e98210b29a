"""The one filter set as options, and the pids that every verb takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

import typer

from quince.cli.errors import WrongUsage
from quince.errors import InvalidFilter
from quince.monitor.filters import Filter, Word
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow

__all__ = ["Filter", "by_age", "resolve", "with_options"]


def with_options(command: Callable[..., int]) -> Callable[..., int]:
    """Turn each dataclass that a command takes, as a `Filter`, into words of the command line: its fields."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if (group := groups.get(own.name)) is None:
            parameters.append(own.replace(annotation=hints[own.name], kind=own.KEYWORD_ONLY))
        else:
            kinds = get_type_hints(group, include_extras=True)
            parameters += [
                own.replace(
                    name=field.name,
                    annotation=_as_option(kinds[field.name]),
                    default=field.default,
                    kind=own.KEYWORD_ONLY,
                )
                for field in fields(group)
            ]

    @functools.wraps(command)
    def wrapped(**values: Any) -> int:
        made = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        try:
            return command(**made, **values)
        except InvalidFilter as error:
            raise WrongUsage(str(error)) from error

    del wrapped.__wrapped__
    wrapped.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def _as_option(hint: Any) -> Any:
    """What typer knows of a field; what is no word of a filter is as typer has it."""
    word = next((one for one in get_args(hint) if isinstance(one, Word)), None)
    if word is None:
        return hint
    kind, metavar = get_args(hint)[0], word.metavar
    if word.flag is None:
        return Annotated[kind, typer.Argument(metavar=metavar, show_default=False, help=word.help)]
    panel = "Which processes"
    return Annotated[kind, typer.Option(word.flag, metavar=metavar, rich_help_panel=panel, help=word.help)]


def resolve(home: Workspace, chosen: Filter, *, live: bool = False) -> list[ProcessRow]:
    """The processes that were named, or that the filters choose, oldest first.

    Args:
        live: Only those that have not terminated.

    Raises:
        WrongUsage: nothing was said at all.
        ProcessNotFound: one that was named does not exist.
    """
    if chosen.empty:
        raise WrongUsage("say which processes: pids, a filter as --state waiting, or --all")
    rows = sorted(home.store.select(chosen.selection(home, live=live)), key=by_age)
    if not chosen.narrowed and (missing := set(chosen.named(home)) - {row.pid for row in rows}):
        raise home.not_found(*missing)
    return rows


def by_age(row: ProcessRow) -> tuple[float, int]:
    """A key to sort by; pids come in blocks, so alone they do not tell who is older."""
    return row.created, row.pid
