"""What may be asked of a process besides its inputs, as it is submitted."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quince.errors import InvalidInput
from quince.moments import LONGEST, Deadline, clock, moment_of, seconds_of
from quince.processes.bases import attribute_of
from quince.processes.fitting import fitted
from quince.text import name_problem
from quince_messaging.limits import check_priority, check_queue
from quince_persistence.clock import now
from quince_persistence.records import ProcessOptions, ProcessRow

LONGEST_KEY = 500
"""Characters; an index of PostgreSQL holds no more than 2,700 bytes."""
LONGEST_LABEL = 200
MOST_LABELS = 50


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one call asks of a process besides its inputs; None is not asked.

    Attributes:
        key: At most one process has a given key.
        queue: Which workers run it.
        priority: 0 to 9 (first).
        labels: By which it is found.
        limits: Names of limits that it holds while it is at work.
        on_failure: `fail` or `pause`.
        deadline: When it must have ended, with its tree.
        cache: Whether one that ended well with the same inputs may stand for it.
    """

    key: str | None = None
    queue: str | None = None
    priority: int | None = None
    labels: Mapping[str, Any] | None = None
    limits: Sequence[str] | None = None
    on_failure: str | None = None
    deadline: Deadline | None = None
    cache: bool | None = None

    def check(self, name: str) -> None:
        """See that all of it can be kept.

        Args:
            name: Of the process class.

        Raises:
            InvalidInput: names what is wrong.
        """
        wrong = None if self.key is None else name_problem(self.key, LONGEST_KEY)
        if wrong:
            raise InvalidInput(f"{name}: its key {wrong}")
        try:
            if self.priority is not None:
                check_priority(fitted(self.priority, int))
            if self.queue is not None:
                check_queue(self.queue)
                if not self.queue:
                    raise ValueError("the name of a queue is empty")
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}") from None
        if self.on_failure is not None and self.on_failure not in ("fail", "pause"):
            raise InvalidInput(f"{name}: on_failure is 'fail' or 'pause', not {self.on_failure!r}")
        if self.cache is not None and type(self.cache) is not bool:
            raise InvalidInput(f"{name}: cache is True or False, not {reprlib.repr(self.cache)}")


NO_WISHES = Wishes()


def deadline_of(cls: Any, wishes: Wishes) -> tuple[float | None, float | None]:
    """The seconds that a new process has, or the moment at which it must have ended; None, None: any time.

    Raises:
        InvalidInput: it is neither a duration nor a moment to come.
    """
    given = wishes.deadline if wishes.deadline is not None else attribute_of(cls, "deadline")
    if given is None or callable(given):  # a step of that name
        return None, None
    until = moment_of(given)
    if until is not None:
        if until <= now():
            raise InvalidInput(f"{cls.__name__}: its deadline {clock(until)} is over already")
        return None, min(until, now() + LONGEST)
    try:
        seconds = seconds_of(given)
    except ValueError as error:
        raise InvalidInput(
            f"{cls.__name__}: its deadline: {error}; or a date and a time, such as 2026-12-01T08:00"
        ) from None
    if not seconds:
        raise InvalidInput(f"{cls.__name__}: a deadline of 0 seconds is over at once")
    return seconds, None


def options_of(cls: Any, wishes: Wishes, parent: ProcessRow | None) -> ProcessOptions:
    """What is kept with the row of a new process: of what was wished for, what its class says, and what it
    has from its parent.

    Raises:
        InvalidInput: names what is wrong.
    """
    labels = {} if parent is None else dict(parent.options.labels)
    own = attribute_of(cls, "labels")  # of a class that has something else by that name, it is none
    for given in (own if isinstance(own, Mapping) else None, wishes.labels):
        labels |= _labels(cls.__name__, given)
    inherited = None if parent is None else parent.options.on_failure
    return ProcessOptions(labels=labels, on_failure=wishes.on_failure or inherited)


def _labels(name: str, given: Any) -> dict[str, str]:
    """Names and values, as text."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInput(
            f"{name}: labels are a mapping, as {{'study': 'argon'}}, not {reprlib.repr(given)}"
        )
    labels: dict[str, str] = {}
    for label, value in given.items():
        if wrong := name_problem(label, LONGEST_LABEL) or ("has a '='" if "=" in label else None):
            raise InvalidInput(f"{name}: the name of the label {reprlib.repr(label)} {wrong}")
        if not isinstance(value, (str, int, float)):
            raise InvalidInput(
                f"{name}: the label {label!r} is {reprlib.repr(value)} ({type(value).__name__}), and must be "
                "a text or a number"
            )
        if wrong := name_problem(text := str(value), LONGEST_LABEL):
            raise InvalidInput(f"{name}: the label {label!r} {wrong}")
        labels[label] = text
    if len(labels) > MOST_LABELS:
        raise InvalidInput(f"{name} has {len(labels)} labels, and may have {MOST_LABELS}")
    return labels
