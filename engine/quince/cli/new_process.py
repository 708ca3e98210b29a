"""What `quince run` and `quince submit` share: a target, the inputs of a new process, its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quince.cli.documents import plain
from quince.cli.inputs import parse_inputs
from quince.cli.output import say
from quince.processes.creation import new_process
from quince.processes.definition import class_of, definition_of
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
Key = Annotated[str | None, typer.Option("--key", help="At most one process has a given key.")]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="9 goes first.")]


def checked_inputs(cls: Any, words: Sequence[str]) -> dict[str, Any]:
    """The inputs that the words mean for this target, checked before anything is opened or made.

    Raises:
        InvalidInput: its ports do not take them.
    """
    cls = class_of(cls)
    inputs = parse_inputs(words, definition_of(cls).spec.inputs)
    new_process(cls, inputs, pid=0, class_path="")
    return inputs


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
