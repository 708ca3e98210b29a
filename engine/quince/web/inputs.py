"""Inputs that are corrected on a page: read, and checked by their class, in a program of its own.

What a class takes, only the class knows, and classes of users are never loaded by the program that serves the
pages. So `quince retry PID name=value` and `quince restart` do it: what they take and say is the same here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from quince.client.control import Answer
from quince.client.retry import RETRY
from quince.errors import InvalidInput
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.workspace.location import Location

PATIENCE = 120.0
"""Seconds that a class may take to be imported, and to check its inputs."""
LONGEST = 2000
"""Characters of an input that a form shows to be changed."""
LONGEST_TOGETHER = 10_000
"""Characters of all of them on one page."""
_GIVEN, _WAS = "input.", "was."


@dataclass(frozen=True)
class CorrectedInputs:
    """Those that somebody has changed, as words of the command line: `cutoff=40`."""

    words: Sequence[str]

    @classmethod
    def of(cls, form: Mapping[str, str]) -> CorrectedInputs:
        """
        Raises:
            InvalidInput: one has a name that is none.
        """
        words = []
        for field, text in form.items():
            name = field.removeprefix(_GIVEN)
            if name == field or _same(text, form.get(_WAS + name)):
                continue
            if not all(part.isidentifier() for part in name.split(".")):
                raise InvalidInput(f"{name[:40]!r} is no name of an input that can be changed here", name)
            words.append(f"{name}={text.strip()}")
        return cls(words)


def _same(text: str, before: str | None) -> bool:
    """Browsers end lines in their own way."""
    return before is not None and text.split() == before.split() and text.splitlines() == before.splitlines()


def editable(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those inputs that a line of text can say, with the line."""
    found, left = [], LONGEST_TOGETHER
    for name, value in values.items():
        if not str(name).isidentifier():
            continue
        text = value if type(value) is str and not _is_json(value) else _json(value)
        if text is not None and len(text) <= LONGEST and (length := len(escape(text))) <= left:
            found.append((str(name), text))
            left -= length
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False) if _is_plain(value) else None
    except (TypeError, ValueError, RecursionError):
        return None


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(_is_plain(one) for one in value)
    if type(value) is dict:
        return all(type(key) is str and _is_plain(one) for key, one in value.items())
    return value is None or type(value) in (bool, int, float, str)


def retry_with(location: Location, pid: int, changed: CorrectedInputs, reason: str | None) -> list[Answer]:
    """Retry a process with other inputs.

    Raises:
        InvalidInput: they are refused; says why.
    """
    return [
        Answer(int(one["pid"]), RETRY, bool(one["accepted"]), bool(one["applied"]), str(one["message"]))
        for one in _asked(location, "retry", reason, [str(pid), *changed.words])
    ]


@dataclass(frozen=True)
class Anew:
    """A process that begins where another one stood.

    Attributes:
        step: Before which step; None: the first.
        shared: Children of the other one that are also its.
    """

    pid: int
    step: str | None
    shared: Sequence[int]


def restart_with(
    location: Location, pid: int, step: str | None, changed: CorrectedInputs, reason: str | None
) -> Anew:
    """Begin a process anew, before that step, with other inputs.

    Raises:
        InvalidInput: the step, or they, are refused; says why.
    """
    words = [str(pid), *([f"--from={step}"] if step else []), *changed.words]
    made = _asked(location, "restart", reason, words)
    return Anew(int(made["pid"]), made["from"], made["shared"])


def _asked(location: Location, command: str, reason: str | None, words: Sequence[str]) -> Any:
    """What a command answers.

    Raises:
        InvalidInput: it refuses; says why.
    """
    line = [
        sys.executable, "-m", "quince.cli.main", "-C", str(location.folder),
        command, "--json", *([f"--reason={reason}"] if reason else []), *words,
    ]  # fmt: skip
    places = {STORE_VARIABLE: location.store, BROKER_VARIABLE: location.broker}
    try:
        done = subprocess.run(
            line, cwd=location.folder, env={**os.environ, **places}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"its class was not imported in {PATIENCE:.0f} s", "") from None
    try:
        return json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        said = done.stderr.strip().removeprefix("error: ")[-2000:]
        raise InvalidInput(said or "it was refused", "") from None
