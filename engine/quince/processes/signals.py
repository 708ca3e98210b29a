"""Signals: values that a work chain waits for, sent by whoever knows its pid.

A signal is durable when it is sent, whether or not the process waits for it yet, and stays until a step
that has used it commits; so it is neither lost nor used twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from quince.moments import Duration, seconds_of
from quince.text import name_problem
from quince_persistence.codec import check, decode, encode
from quince_persistence.records import NewSignal, SignalRow


@dataclass(frozen=True, slots=True)
class AwaitedSignal:
    """Says that a value in the context is to come as a signal; made by `signal_`."""

    name: str
    timeout: float | None


def signal_(name: str, *, timeout: Duration | None = None) -> AwaitedSignal:
    """`to_context(answer=signal_("approval"))`: wait for the signal, and find its value in `ctx.answer`.

    Args:
        name: As in `handle.signal(name, value)` and `quince signal PID name`.
        timeout: After which the chain goes on without it (`"2 h"`, or seconds); `ctx.answer` is None then.
            The shortest one holds for all signals that a step waits for.

    Raises:
        ValueError: no name, or no duration.
    """
    name = checked_name(name)
    seconds = None if timeout is None else duration(timeout, f"signal_({name!r}, timeout=...)")
    return AwaitedSignal(name, seconds)


@dataclass(frozen=True, slots=True)
class Expected:
    """A signal that a chain waits for, and where its value goes.

    Attributes:
        key: In the context.
        append: To the list there.
    """

    name: str
    key: str
    append: bool

    def plain(self) -> list[Any]:
        """For the checkpoint."""
        return [self.name, self.key, self.append]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What has come of a signal that was expected.

    Attributes:
        row: None if it did not come in time.
        value: None then.
    """

    expected: Expected
    row: SignalRow | None
    value: Any


def arrivals(expected: Iterable[Expected], rows: Sequence[SignalRow]) -> list[Arrival]:
    """Each that is expected with the oldest signal of its name that no other one has.

    Raises:
        Unreadable: a value of a type that is not known here.
    """
    left = list(rows)
    found: list[Arrival] = []
    for one in expected:
        row = next((row for row in left if row.name == one.name), None)
        if row is not None:
            left.remove(row)
        found.append(Arrival(one, row, None if row is None else decode(row.value)))
    return found


def new_signal(pid: int, name: str, value: Any) -> NewSignal:
    """A signal about to be sent.

    Raises:
        ValueError: no name.
        Unsaveable: the value cannot be stored; names where it is.
    """
    label = f"signal {checked_name(name)}"
    check(value, label)
    return NewSignal(pid, name, encode(value, label))


def duration(given: Any, what: str) -> float:
    """The seconds of a time that can be waited for.

    Raises:
        ValueError: it is none; says for what it was given.
    """
    try:
        return seconds_of(given)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def checked_name(name: Any) -> str:
    """The name of a signal.

    Raises:
        ValueError: it is none.
    """
    if wrong := name_problem(name):
        raise ValueError(f"the name of a signal {wrong}")
    checked: str = name
    return checked
