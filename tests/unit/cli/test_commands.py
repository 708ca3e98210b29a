"""The table of commands, and what each costs to start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click import Context
from typer.main import get_command

from quince.cli.main import COMMANDS, app


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_module_that_the_table_names(name: str) -> None:
    group = get_command(app)
    command = group.get_command(None, name)  # type: ignore[attr-defined]
    assert command.name == name
    assert command.help
    home = {"pause": "control", "play": "control", "kill": "control"}.get(name, name)
    assert COMMANDS[name] == f"quince.cli.{home}"


def _commands(group: Any, *words: str) -> Iterator[tuple[str, Any]]:
    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, *words, name)
        else:
            yield " ".join((*words, name)), command


def test_every_command_answers_as_a_document_too() -> None:
    """But for those that are no questions: they run until they are left, are for reading, or print a document
    of another kind as it is."""
    mute = {
        words
        for words, command in _commands(get_command(app))
        if not any("--json" in option.opts for option in command.params)
    }
    assert mute <= {"worker", "top", "web", "help", "graph", "metrics", "notify trouble"}


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        ("ps", {"aio_pika", "numpy", "alembic", "quince.worker.worker"}),
        ("show 1", {"numpy", "alembic"}),
        ("status", {"numpy", "alembic"}),
        ("submit x.py", {"numpy", "alembic", "quince.worker.worker"}),
    ],
)
def test_a_command_does_not_load_what_it_does_not_need(
    words: str, unwanted: set[str], tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from quince.cli.main import main\n"
        f"try: main({words.split()!r})\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "quince.cli.main" in done.stdout.split()
    assert unwanted.isdisjoint(done.stdout.split())
