"""The commands and their options, as far as completion needs them: written down once for each Quince.

To read them from the commands themselves takes longer than a key press may.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

COMMANDS = Path(__file__).parents[1]

Described = dict[str, Any]
"""By the name of a command, as `limit set`: its help, options and arguments, and the commands that it has."""


@cache
def described() -> Described:
    """All commands; from a file in the user's cache, if this Quince has written it."""
    file = _cache() / f"commands-{_edition()}.json"
    with contextlib.suppress(OSError, ValueError):
        found: Described = json.loads(file.read_text(encoding="utf-8"))
        return found
    made = describe()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(made), encoding="utf-8")
        part.replace(file)
    return made


def describe() -> Described:
    """All commands, read from the commands."""
    found = importlib.import_module("quince.cli.reference.commands").commands()
    return {
        command.name: {
            "help": command.summary,
            "has": list(command.has),
            "options": [
                [list(one.names), one.metavar, one.help] for one in command.parameters if not one.positional
            ],
            "arguments": [[one.metavar, one.several] for one in command.parameters if one.positional],
        }
        for command in found
    }


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quince"


def _edition() -> str:
    """Changes with the version, and with every file of the command line in a checkout."""
    times = [str(file.stat().st_mtime_ns) for file in sorted(COMMANDS.rglob("*.py"))]
    return hashlib.sha256(" ".join([version("quince"), str(COMMANDS), *times]).encode()).hexdigest()[:16]
