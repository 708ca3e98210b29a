"""What a step says while it runs, told to whoever runs it: once a second, however often it says it."""

from __future__ import annotations

import operator
import os
import reprlib
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from numbers import Complex, Real
from typing import Protocol, SupportsFloat

from quince.processes.interfaces import Host
from quince.text import storable
from quince_persistence.records import NewEvent, ProcessRow, Progress
from quince_persistence.records.steps import Telling

TELL_SECONDS = 1.0
"""From when something is said until it is told; so short steps tell nothing, and say it with their commit."""
MOST_REPORTS = 500
"""So many reports are told at a time."""
LONGEST_TEXT = 500


class Record(Protocol):
    """What a step has said; see `StepRecord`."""

    run: int
    told: int
    noted: bool
    progress: Progress | None

    @property
    def reports(self) -> Sequence[NewEvent]: ...


class Speaker(Protocol):
    """A process whose step runs; see `Execution`."""

    row: ProcessRow
    host: Host
    status: str | None

    @property
    def record(self) -> Record: ...


def progress_of(done: object, total: object, text: object) -> Progress:
    """How far a step is.

    Raises:
        TypeError: a number is none.
    """
    words = None if text is None else storable(str(text))[:LONGEST_TEXT]
    return Progress(_number(done, "done"), None if total is None else _number(total, "total"), words)


def _number(given: object, name: str) -> float:
    number = given if type(given) is int or type(given) is float else _as_number(given)
    if type(number) is int and abs(number) >= 2**63:
        number = float(number) if abs(number) < 2**1023 else None
    if number is None or not abs(number) < float("inf"):
        raise TypeError(f"progress({name}=...) is a number, and not {reprlib.repr(given)}")
    return number


def _as_number(given: object) -> float | None:
    """What Python's number it is: of a `bool`, `Decimal`, `Fraction`, of numpy; None if it is none."""
    imaginary = isinstance(given, Complex) and not isinstance(given, Real)
    if imaginary or getattr(given, "shape", ()) != ():  # an array of one, too, is no number
        return None
    try:
        return int(operator.index(given))  # type: ignore[arg-type]  # which is asked
    except (TypeError, ValueError):
        pass
    try:
        return float(given) if isinstance(given, SupportsFloat) else None
    except (TypeError, ValueError, ArithmeticError):
        return None


class Teller:
    """Has a thread of its own while steps say something; what they say costs them no more than to keep it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[int, Speaker] = {}
        self._works = False

    def note(self, speaker: Speaker) -> None:
        """The step that runs has said something. From any thread."""
        with self._lock:
            record = speaker.record
            record.run = record.run or time.time_ns()
            record.noted = True
            self._said[id(speaker)] = speaker
            if not self._works:
                with suppress(RuntimeError):  # no thread can be had: it is told with the end of the step
                    threading.Thread(target=self._work, name="quince-progress", daemon=True).start()
                    self._works = True

    def close(self, speaker: Speaker, *, rest: bool) -> None:
        """The step is over: nothing is told of it any more.

        Args:
            rest: But for what it has said and what was not told.
        """
        if not speaker.record.noted and not speaker.record.run:
            return
        with self._lock:
            if self._said.pop(id(speaker), None) is not None and rest:
                _tell(speaker)

    def _work(self) -> None:
        """Until nothing has been said for a while."""
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the main thread
        while True:
            time.sleep(TELL_SECONDS)
            with self._lock:
                said, self._said = self._said, {}
                for speaker in said.values():
                    _tell(speaker)
                    if len(speaker.record.reports) > speaker.record.told:
                        speaker.record.noted = True
                        self._said[id(speaker)] = speaker
                if not said:
                    self._works = False
                    return

    def renew(self) -> None:
        """In a child that was forked: the thread, and what it had to tell, are the parent's."""
        self._lock, self._said, self._works = threading.Lock(), {}, False


def _tell(speaker: Speaker) -> None:
    record = speaker.record
    record.noted = False  # first: what is said from now on is told later
    first = record.told
    reports = record.reports[first : first + MOST_REPORTS]
    record.told += len(reports)
    row, status = speaker.row, speaker.status
    with suppress(Exception):  # whoever runs it has gone, and its step with it
        speaker.host.tell(
            Telling(
                row.pid,
                speaker.host.id,
                row.epoch,
                record.run,
                first,
                reports,
                None if status is None else storable(str(status)),
                record.progress,
            )
        )


teller = Teller()
"""That of this program."""
os.register_at_fork(after_in_child=teller.renew)
