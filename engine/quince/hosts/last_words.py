"""Where the code of a step host stands when it crashes, or when its worker asks.

`faulthandler` writes it, which works in whatever state the interpreter is, into a file in memory that the
worker reads.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from quince.own_code import is_own, is_standard

WHERE = signal.SIGRTMAX - 7
"""A host that gets this signal writes where its main thread stands."""

LONGEST = 1 << 16
MOST_LINES = 40
_FRAME = re.compile(r' *File "(.*)", line (\d+) in (.*)')
_MORE = "  ..."
_HOSTS = f"{Path(__file__).parent}{os.sep}"


def listen(descriptor: int) -> None:
    """In a host: write into this file from now on. Not in its forks: their ends are none of its own."""
    faulthandler.enable(descriptor, all_threads=False)
    faulthandler.register(WHERE, descriptor, all_threads=False)
    os.register_at_fork(after_in_child=faulthandler.disable)


class LastWords:
    """The file of one host, for its worker.

    Attributes:
        descriptor: For the host, too.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("quince-last-words")
        self._read = 0

    def close(self) -> None:
        """It is not needed any more."""
        os.close(self.descriptor)

    def new(self) -> str:
        """What has come since the last look: without the frames of the engine, and not too much."""
        data = os.pread(self.descriptor, LONGEST, self._read)
        self._read += len(data)
        return users(data.decode(errors="replace"))


def users(words: str) -> str:
    """A traceback down to where the engine has called the user's code; it begins with the innermost call."""
    lines = list(_without_repetitions(_users(words.splitlines())))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = lines[-1:] if lines[-1] == _MORE else ["  (and so on)"]
    return "\n".join(lines)


def place(words: str) -> str | None:
    """Where a traceback begins, as far as that is the user's own code: file, line, function."""
    frames = [found for line in words.splitlines() if (found := _FRAME.fullmatch(line))]
    frame = next((one for one in frames if not is_standard(one[1])), frames[0] if frames else None)
    return None if frame is None else f"{Path(frame[1]).name}, line {frame[2]}, in {frame[3]}"


def is_deep(words: str) -> bool:
    """Whether a traceback was too long to be written down: so is that of an endless recursion."""
    return words.endswith(_MORE)


def _users(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        frame = _FRAME.fullmatch(line)
        if frame is not None and frame[1].startswith(_HOSTS):
            return
        if line.strip() and not line.startswith("Extension modules:") and not (frame and is_own(frame[1])):
            yield line


def _without_repetitions(lines: Iterable[str]) -> Iterator[str]:
    for line, same in groupby(lines):
        yield line
        if times := sum(1 for _ in same) - 1:
            yield f"  [the same {times} times more]"
