"""What `quince run` and `quince submit` share: a target, the inputs of a new process, its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from quince.cli.documents import plain
from quince.cli.errors import WrongUsage
from quince.cli.inputs import parse_inputs
from quince.cli.output import say
from quince.errors import InvalidFilter
from quince.monitor.filters import label_pair
from quince.processes.creation import new_process
from quince.processes.definition import class_of, definition_of
from quince.processes.options import NO_WISHES, Wishes
from quince.workspace.workspace import Workspace
from quince_persistence.codec import decode
from quince_persistence.records import ProcessRow

Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="module:Class or file.py:Class (the class may be left out if there is one)."
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME=VALUE", show_default=False,
        help="Inputs, as their ports say, or JSON; a.b=value for namespaces; @file.json for many.",
    ),
]  # fmt: skip
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="9 goes first.")]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache", show_default=False,
        help="Take, or do not take, outputs of one that ended well with the same inputs.",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What is asked of a new process besides its inputs."""

    key: Annotated[str | None, typer.Option("--key", help="At most one process has a given key.")] = None
    priority: Priority = 0
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline", metavar="WHEN",
            help="Killed, with its tree, if it lives then: in 2h, in 1d 6h, at 2030-01-31T12:00 "
            "(local time).",
        ),
    ] = None  # fmt: skip
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="NAME=VALUE", show_default=False,
            help="By which it is found, as its children are; several times.",
        ),
    ] = None  # fmt: skip
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit", metavar="NAME", show_default=False,
            help="A limit that it holds while it is at work; several times.",
        ),
    ] = None  # fmt: skip
    on_failure: Annotated[
        str | None,
        typer.Option(
            "--on-failure", metavar="WHAT", show_default=False,
            help="fail or pause, when a step of it, or of its children, has failed and is not tried again.",
        ),
    ] = None  # fmt: skip
    cache: Cache = None

    def wishes(self) -> Wishes:
        """That, read.

        Raises:
            WrongUsage: a word is no label, or two have the same name.
        """
        return Wishes(
            key=self.key,
            priority=self.priority,
            labels=labels_of(self.label),
            limits=self.limit,
            on_failure=self.on_failure,
            deadline=self.deadline,
            cache=self.cache,
        )


def checked_inputs(cls: Any, words: Sequence[str], wishes: Wishes = NO_WISHES) -> dict[str, Any]:
    """The inputs that the words mean for this target, checked before anything is opened or made.

    Args:
        wishes: What else is asked for, which is checked too.

    Raises:
        InvalidInput: its ports do not take them.
    """
    cls = class_of(cls)
    inputs = parse_inputs(words, definition_of(cls).spec.inputs)
    new_process(cls, inputs, pid=0, class_path="", wishes=wishes)
    return inputs


def labels_of(words: Sequence[str] | None) -> dict[str, str] | None:
    """The labels that were given.

    Raises:
        WrongUsage: a word is no label, or two have the same name.
    """
    try:
        pairs = [label_pair(word) for word in words or ()]
    except InvalidFilter as error:
        raise WrongUsage(str(error)) from error
    if twice := {name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}:
        raise WrongUsage(f"--label: {min(twice)!r} is given twice")
    return {name: value or "" for name, value in pairs} or None


def holder_of(home: Workspace, key: str | None) -> ProcessRow | None:
    """The process that has the key already; None if none has, or none is wanted."""
    return None if key is None else home.store.find_key(key)


def say_taken(home: Workspace, cls: Any, inputs: dict[str, Any], holder: ProcessRow) -> None:
    """Say that no process is made, and whether the one that has the key was asked for something else."""
    cls = class_of(cls)
    path = home.registry.name_of(cls)
    wanted = new_process(cls, inputs, pid=holder.pid, class_path=path)
    stored = home.store.inputs(holder.pid)
    if path != holder.class_path:
        differs = f"; it is a {holder.class_path}"
    elif stored is not None and plain(decode(stored)) != plain(decode(wanted.inputs)):
        differs = "; its inputs differ"
    else:
        differs = ""
    say(f"key {holder.key} is taken by process {holder.pid}, which is returned{differs}")
