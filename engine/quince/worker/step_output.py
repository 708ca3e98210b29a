"""What steps print and log: logged at once, a line at a time, with the process that says it."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from quince.logs import Speaker, current_speaker

LONGEST = 8_000
"""Characters after which a line that does not end is logged in pieces."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_telling = threading.local()


@contextmanager
def speaking(facts: Mapping[str, object], place: Callable[[], str | None]) -> Iterator[None]:
    """Inside the block, also in the threads that copy its context, this process speaks.

    Args:
        facts: About it: `pid`, `class` and more, as fields of log records.
        place: Tells where in its outline it stands, until the step is known.
    """
    before = current_speaker.set(Speaker(facts, place))
    try:
        yield
    finally:
        for stream in _taken:
            stream.flush()
        current_speaker.reset(before)


class Lines(io.TextIOBase):
    """A standard stream whose lines become log records. What is written below it, by C code or to its
    `buffer`, goes where it always went.

    Args:
        stream: The stream in whose place it is.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._log = logging.getLogger(f"quince.{name}")
        self._log.setLevel(logging.INFO)  # whatever the level of others is
        self._begun: dict[str, str] = {}
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def write(self, text: str) -> int:
        who = str(current_speaker.get())
        with self._lock:
            *lines, rest = _LINE_END.split(self._begun.pop(who, "") + text)
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], ""
            if rest:
                self._begun[who] = rest
        self._tell(lines)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            begun = self._begun.pop(str(current_speaker.get()), "")
        self._tell([begun])

    def _tell(self, lines: list[str]) -> None:
        complaint = getattr(_telling, "now", False)  # of a handler, about its own failure
        if complaint or not (self._log.isEnabledFor(logging.INFO) and self._log.hasHandlers()):
            self._stream.writelines(f"{line}\n" for line in lines if line)
            return
        _telling.now = True
        speaker = current_speaker.get()
        try:
            for line in lines:
                if line.strip():
                    self._log.info("%s", line, extra={} if speaker is None else speaker.facts)
        finally:
            _telling.now = False

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def buffer(self) -> io.BufferedIOBase:
        """For bytes, which pass by."""
        return self._stream.buffer  # type: ignore[return-value]

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors


_taken: list[Lines] = []


@contextmanager
def printed_lines() -> Iterator[None]:
    """Inside the block, what is printed becomes log records; handlers that are there write where they did."""
    before = sys.stdout, sys.stderr
    taken = [Lines(sys.stdout, "stdout"), Lines(sys.stderr, "stderr")]
    sys.stdout, sys.stderr = taken
    _taken.extend(taken)
    try:
        yield
    finally:
        for stream in taken:
            stream.flush()
            _taken.remove(stream)
        sys.stdout, sys.stderr = before
