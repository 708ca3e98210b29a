"""Answers a shell that asks what a word may become: one candidate a line, or nothing.

It says nothing else, whatever is wrong: no workspace, a store that is away, a line that makes no sense. And
it ends within seconds, whatever hangs; a store has one second.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence

from quince.cli.completion.candidates import Asked, Found, candidates
from quince.cli.completion.described import Described, described
from quince.cli.completion.words import replaced_by_bash, words_of
from quince.text import in_line

ASKED, LINE = "_QUINCE_COMPLETE", "_QUINCE_LINE"
"""Variables: `complete_bash` and so on; and the line up to the cursor."""
SECONDS, MOST = 5.0, 500


def answer() -> None:
    """Print the candidates for the line in the environment, and end."""
    with contextlib.suppress(Exception):
        described()  # the first time, that takes a moment
    timer = threading.Timer(SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()
    shell = os.environ[ASKED].partition("_")[2]
    words = words_of(os.environ.get(LINE, ""))
    lines = []
    with contextlib.suppress(Exception):
        for word, about in completions(words):
            if not word.isprintable():
                continue
            if shell == "bash":
                lines.append(word[replaced_by_bash(words[-1]) :])
            else:
                lines.append(f"{word}\t{in_line(about)}" if about else word)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    os._exit(0)


def completions(words: Sequence[str]) -> list[Found]:
    """What the last of the words may become, each once."""
    known: dict[str, str] = {}
    with contextlib.suppress(Exception):
        for word, about in _all(words, described()):
            if word.startswith(words[-1]) and len(known) < MOST:
                known.setdefault(word, about)
    return list(known.items())


def _all(words: Sequence[str], commands: Described) -> Iterator[Found]:
    *before, word = words
    command, arguments, folder, waiting = "", [], None, ""
    for one in before:
        options = _options(commands[command])
        if waiting:
            folder = one if waiting in ("--workspace", "-C") else folder
            waiting = ""
        elif one.startswith("-") and one != "-":
            waiting = one if options.get(one) else ""
        elif one in commands[command]["has"]:
            command = f"{command} {one}".strip()
        else:
            arguments.append(one)
    here = commands[command]
    if waiting:
        long = next(names[0] for names, _, _ in here["options"] if waiting in names)
        yield from candidates(Asked(command, long, _options(here)[waiting], arguments, word, folder))
    elif word.startswith("-"):
        yield from _flags(here, command, word, arguments, folder)
    elif here["has"]:
        yield from ((name, commands[f"{command} {name}".strip()]["help"]) for name in here["has"])
    elif metavars := _metavars(here["arguments"], len(arguments)):
        for metavar in metavars:
            with contextlib.suppress(Exception):  # what one cannot find, another one may
                yield from candidates(Asked(command, "", metavar, arguments, word, folder))


def _flags(
    here: Described, command: str, word: str, arguments: Sequence[str], folder: str | None
) -> Iterator[Found]:
    name, equals, value = word.partition("=")
    if equals:
        metavar = _options(here).get(name, "")
        for found, about in candidates(Asked(command, name, metavar, arguments, value, folder)):
            yield f"{name}={found}", about
    else:
        yield from ((name, about) for names, _, about in here["options"] for name in names)
        yield "--help", "Show this message and exit."


def _options(command: Described) -> dict[str, str]:
    """By name, what stands for its value; empty if it takes none."""
    return {name: metavar for names, metavar, _ in command["options"] for name in names}


def _metavars(arguments: Sequence[tuple[str, bool]], given: int) -> list[str]:
    """What may stand there: the argument of that place, and those before it that take several."""
    found: list[str] = []
    for place, (metavar, several) in enumerate(arguments):
        if place == given or (place < given and several):
            found.append(metavar)
    return found
