"""How Quince starts Python programs of its own, and how it knows them again by their command lines.

They run in the folder of a workspace, where files may be called like modules that they need (`queue.py`):
with `-P`, Python does not look there.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

SUPERVISOR = "quince.daemon.supervisor"
WORKER = "quince.cli.main"
EXPLORER = "quince.testing.explorer"

TEMPLATE, STEP_HOST = "quince-template", "quince-host"
"""What the programs call themselves (in `ps -e` and `top`) that a worker makes of itself: their command line
is that of the worker."""

_EARLIER_NAMES = {SUPERVISOR: "engine.supervisor"}
"""In versions that may still run when this one is installed in their place."""


def command_line(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of ours, by this interpreter."""
    return [sys.executable, "-P", "-m", module, *arguments]


def arguments_of(words: Sequence[str], module: str) -> list[str] | None:
    """The arguments of a command line that runs this module of ours, of this version or an earlier one; None
    if it runs something else."""
    named = list(words[2:] if words[1:2] == ["-P"] else words[1:])
    runs = named[:1] == ["-m"] and named[1:2] in ([module], [_EARLIER_NAMES.get(module)])
    return named[2:] if runs else None


def is_earlier(words: Sequence[str], module: str) -> bool:
    """Whether a command line runs this module of ours as an earlier version had it."""
    return arguments_of(words, module) is not None and module not in words


def option_of(words: Sequence[str], name: str) -> str | None:
    """What follows an option on a command line; None if it is not there."""
    return dict(itertools.pairwise(words)).get(name)
