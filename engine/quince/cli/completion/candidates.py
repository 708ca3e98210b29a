"""What a value may be, by what stands for it in the help: `PID`, `STATE`, `QUEUE` and so on."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from quince.cli import pages
from quince.cli.completion import code
from quince.workspace.location import Location, locate
from quince_persistence.reading.glance import glance

SECONDS = 1.0
Found = tuple[str, str]
"""A word, and what is said of it; the text may be empty."""

STATES = ("created", "running", "waiting", "finished", "excepted", "killed", "paused", "live", "ended")
CHOICES = {
    "--on-failure": ("fail", "pause"),
    "--overlap": ("skip", "queue", "replace", "allow"),
    "--catch-up": ("none", "last", "all"),
    "--priority": tuple("9876543210"),
}
_CHOSEN = {
    **dict.fromkeys(("pause", "kill", "signal", "set", "wait"), "live"),
    "play": "paused",
    "retry": "to be retried",
}
"""Of which processes a command makes something; of others, of all."""
_PID = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Asked:
    """What is being typed.

    Attributes:
        command: As `limit set`.
        option: Whose value it is; empty for an argument.
        metavar: What stands for it in the help.
        before: The arguments before it.
        word: What there is of it.
        folder: What `--workspace` says.
    """

    command: str
    option: str
    metavar: str
    before: Sequence[str]
    word: str
    folder: str | None = None

    @cached_property
    def location(self) -> Location:
        """The workspace; nothing is made."""
        return locate(self.folder)

    def rows(self, what: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """What a glance at the store finds; nothing if it takes longer than a second."""
        self.location.require_made()
        found: list[Sequence[tuple[Any, ...]]] = []

        def look() -> None:
            with contextlib.suppress(Exception), glance(self.location.store) as store:
                found.append(store.rows(what, *parameters))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(SECONDS)
        return found[0] if found else ()


def candidates(asked: Asked) -> Iterator[Found]:
    """What it may become, and more: whoever asks takes what begins with the word."""
    if asked.option in CHOICES:
        yield from ((choice, "") for choice in CHOICES[asked.option])
    elif (find := _FINDERS.get(_kind(asked))) is not None:
        yield from find(asked)


def _kind(asked: Asked) -> str:
    first = asked.command.partition(" ")[0]
    if asked.metavar == "NAME" and not asked.option:
        return {"limit": "LIMIT", "schedule": "SCHEDULE", "signal": "SIGNAL", "daemon": "LOG"}.get(first, "")
    if asked.option in ("--limit", "--label"):
        return {"NAME": "LIMIT", "NAME=VALUE": "LABEL"}.get(asked.metavar, "")
    if asked.metavar == "NAME=VALUE":
        return "INPUT"
    if asked.metavar == "PID" and not asked.option and first in ("signal", "retry"):
        return "PID or SIGNAL" if first == "signal" else "PID or INPUT"
    return asked.metavar


def _processes(asked: Asked) -> Iterator[Found]:
    if asked.command == "set":
        yield from (("priority=", ""), ("queue=", ""))
    rows = asked.rows("newest" if asked.option else _CHOSEN.get(asked.command, "newest"))
    for pid, path, state, key, _ in rows:
        said = f"{path.rpartition(':')[2]} {state}"
        yield str(pid), said
        if key is not None:
            yield key if not _PID.fullmatch(key) else f"key:{key}", f"{pid} {said}"


def _processes_and_signals(asked: Asked) -> Iterator[Found]:
    yield from _processes(asked)
    yield from _signals(asked)


def _processes_and_inputs(asked: Asked) -> Iterator[Found]:
    yield from _inputs(asked)
    yield from _processes(asked)


def _signals(asked: Asked) -> Iterator[Found]:
    for (names,) in asked.rows("signals"):
        yield from ((name, "") for name in _names(names))


def _labels(asked: Asked) -> Iterator[Found]:
    for name, value in asked.rows("labels"):
        yield f"{name}={value}", ""


def _queues(asked: Asked) -> Iterator[Found]:
    yield "default", ""
    for (names,) in asked.rows("queues"):
        yield from ((name, "") for name in _names(names))
    yield from ((row[4], "") for row in asked.rows("newest"))


def _classes(asked: Asked) -> Iterator[Found]:
    yield from ((row[1].rpartition(":")[2], row[1]) for row in asked.rows("newest"))


def _targets(asked: Asked) -> Iterator[Found]:
    yield from ((target, "") for target in code.targets(asked.word, Path.cwd()))


def _inputs(asked: Asked) -> Iterator[Found]:
    first = next(iter(asked.before), None)
    if first is not None and asked.command in ("retry", "restart"):
        query = ("by pid", int(first)) if _PID.fullmatch(first) else ("by key", first.removeprefix("key:"))
        first = next((row[1] for row in asked.rows(*query)), None)
    elif asked.command == "schedule add":
        first = next(iter(asked.before[1:]), None)
    if first is not None:
        folders = (Path.cwd(), asked.location.folder)
        yield from ((f"{name}=", "") for name in code.inputs(first, *folders))


def _of(what: str) -> Callable[[Asked], Iterator[Found]]:
    def find(asked: Asked) -> Iterator[Found]:
        yield from ((name, "") for (name,) in asked.rows(what))

    return find


def _logs(asked: Asked) -> Iterator[Found]:
    yield "daemon", ""
    yield from ((file.stem, "") for file in (asked.location.state / "logs").glob("worker-*.log"))


def _folders(asked: Asked) -> Iterator[Found]:
    inside = asked.word.rpartition("/")[0] + "/" if "/" in asked.word else ""
    found = sorted(Path(inside or ".").expanduser().iterdir())
    yield from ((f"{inside}{one.name}/", "") for one in found if one.is_dir())


def _topics(_asked: Asked) -> Iterator[Found]:
    yield from pages.topics().items()


def _states(asked: Asked) -> Iterator[Found]:
    before = asked.word.rpartition(",")[0]
    yield from ((f"{before},{state}" if before else state, "") for state in STATES)


def _names(text: str | None) -> list[str]:
    """Names that the store keeps together, as JSON or with commas between."""
    if not text:
        return []
    found = json.loads(text) if text.startswith(("[", "{")) else text.split(",")
    return [str(name) for name in found]


_FINDERS: dict[str, Callable[[Asked], Iterator[Found]]] = {
    "PID": _processes,
    "PID or SIGNAL": _processes_and_signals,
    "PID or INPUT": _processes_and_inputs,
    "SIGNAL": _signals,
    "STATE": _states,
    "CLASS": _classes,
    "LABEL": _labels,
    "LIMIT": _of("limits"),
    "SCHEDULE": _of("schedules"),
    "QUEUE": _queues,
    "QUEUES": _queues,
    "TARGET": _targets,
    "INPUT": _inputs,
    "LOG": _logs,
    "TOPIC": _topics,
    "FOLDER": _folders,
}
