"""The pids and the one filter set that every verb takes."""

from __future__ import annotations

import functools
import inspect
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, get_type_hints

import typer

from quince.cli.errors import WrongUsage
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow, Selection, State

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def _option(flag: str, metavar: str | None, help: str) -> Any:  # noqa: A002 - as typer calls it
    return typer.Option(flag, metavar=metavar, rich_help_panel="Which processes", help=help)


@dataclass(frozen=True)
class Filter:
    """Which processes the words on the command line mean, as they were written."""

    pids: Annotated[
        list[str] | None, typer.Argument(metavar="PID", show_default=False, help="Processes, by pid.")
    ] = None
    states: Annotated[
        list[str] | None,
        _option(
            "--state", "STATE", "Only these states (also `paused`, `live`, `ended`); a,b or several times."
        ),
    ] = None
    classes: Annotated[list[str] | None, _option("--class", "CLASS", "Only these process classes.")] = None
    parent: Annotated[str | None, _option("--parent", "PID", "Only children of this one.")] = None
    tree: Annotated[bool, _option("--tree", None, "The pids and all their descendants.")] = False
    since: Annotated[
        str | None,
        _option(
            "--since", "WHEN",
            "Created since: 90s, 30m, 2h, 3d, or a date as 2030-01-31 or 2030-01-31T12:00 (local time).",
        ),
    ] = None  # fmt: skip
    older: Annotated[str | None, _option("--older-than", "WHEN", "Created before: as --since.")] = None
    queue: Annotated[str | None, _option("--queue", "QUEUE", "Only those of this queue.")] = None
    everything: Annotated[bool, _option("--all", None, "Every process.")] = False

    @property
    def empty(self) -> bool:
        """Nothing at all was said."""
        return not (self.pids or self.narrowed or self.everything)

    @property
    def narrowed(self) -> bool:
        """Something other than pids narrows the choice."""
        return bool(self.states or self.classes or self.parent or self.since or self.older or self.queue)

    @property
    def single(self) -> bool:
        """It is one process, named by its pid, and nothing else."""
        return len(self.pids or ()) == 1 and not self.tree and not self.narrowed

    def named(self) -> list[int]:
        """The pids that were named.

        Raises:
            WrongUsage: a word is no pid.
        """
        return list(dict.fromkeys(_pid(word) for word in self.pids or ()))

    def selection(self, *, live: bool = False, limit: int | None = None) -> Selection:
        """What the store is asked for.

        Raises:
            WrongUsage: a word is no pid, state or time, or the words contradict each other.
        """
        pids = self.named()
        if self.tree and not pids:
            raise WrongUsage("--tree wants pids: it takes their descendants along")
        if self.everything and pids:
            raise WrongUsage("--all and pids contradict each other: give one of them")
        states, paused, live_wanted = _states(self.states or ())
        return Selection(
            pids=() if self.tree else tuple(pids),
            trees=tuple(pids) if self.tree else (),
            states=states,
            paused=paused,
            classes=tuple(name for word in self.classes or () for name in word.split(",") if name),
            parent=None if self.parent is None else _pid(self.parent),
            queue=self.queue,
            since=None if self.since is None else parse_time(self.since, time.time(), "--since"),
            until=None if self.older is None else parse_time(self.older, time.time(), "--older-than"),
            live=live or live_wanted,
            limit=limit,
        )


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
                    annotation=kinds[field.name],
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
        return command(**made, **values)

    del wrapped.__wrapped__
    wrapped.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def parse_time(text: str, now: float, option: str = "--since") -> float:
    """Seconds since the epoch of `30m` (ago) or of a date in local time.

    Raises:
        WrongUsage: it is neither.
    """
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if ago:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        then = datetime.fromisoformat(text)
        return (then if then.tzinfo else then.astimezone()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise WrongUsage(
            f"{option} {text!r} is no time: write 90s, 30m, 2h, 3d, or 2030-01-31T12:00"
        ) from error


_LIVE, _ENDED = "live", "ended"


def _states(words: Sequence[str]) -> tuple[tuple[State, ...], bool | None, bool]:
    """States, the paused flag if asked for, and whether only live ones are wanted."""
    names = [name.strip().lower() for word in words for name in word.split(",") if name.strip()]
    states: list[State] = []
    for name in names:
        if name == _ENDED:
            states += [State.FINISHED, State.EXCEPTED, State.KILLED]
        elif name in set(State):
            states.append(State(name))
        elif name not in ("paused", _LIVE):
            known = ", ".join([*(state.value for state in State), "paused", _LIVE, _ENDED])
            raise WrongUsage(f"{name!r} is no state: {known}")
    return tuple(dict.fromkeys(states)), True if "paused" in names else None, _LIVE in names


def _pid(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise WrongUsage(f"{word!r} is no pid: pids are whole numbers, as `quince ps` lists them")
    return int(word)


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
    rows = sorted(home.store.select(chosen.selection(live=live)), key=by_age)
    if not chosen.narrowed and (missing := set(chosen.named()) - {row.pid for row in rows}):
        raise home.not_found(*missing)
    return rows


def by_age(row: ProcessRow) -> tuple[float, int]:
    """A key to sort by; pids come in blocks, so alone they do not tell who is older."""
    return row.created, row.pid
