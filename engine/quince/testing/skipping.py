"""Time that is skipped over, in a test of workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from quince.moments import Duration, seconds_of
from quince.workspace.workspace import Workspace
from quince_persistence import clock
from quince_persistence.records import Selection


class Rests(Protocol):
    """Whose time it is."""

    workspace: Workspace

    def settle(self) -> None:
        """Return when nothing goes on by itself any more. Raises RuntimeError if it is closed."""

    def look(self) -> None:
        """Have the worker see to everything that is due."""


class SkippingClock:
    """The clock of a sandbox: the machine's, until some time is skipped.

    It is that of the engine (timers, time-outs, retries, deadlines, schedules, moments in the history), not
    that of the steps: `time.time()` is there what it always is.
    """

    def __init__(self, owner: Rests) -> None:
        self._owner = owner
        self._skipped = 0.0

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.fromtimestamp(clock.now(), UTC)

    def advance(
        self, seconds: Duration = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0
    ) -> None:
        """Let so much time pass at once; all that it brings has happened when this returns.

        What is due on the way happens in order, each at its own moment: a chain that sleeps an hour three
        times has ended after `advance(hours=4)`.

        Args:
            seconds: Or a duration as elsewhere: `"6 h"`, a `timedelta`.

        Raises:
            ValueError: It is no length of time, or too long. Time does not go back.
            RuntimeError: The sandbox is closed.
            TimeoutError: What it has set going did not come to rest (see `Sandbox.settle`).
        """
        span = _span(seconds, {"minutes": (minutes, 60), "hours": (hours, 3600), "days": (days, 86_400)})
        self._owner.settle()
        until = clock.now() + span
        while (moment := self._next()) is not None and moment <= until:
            self._move(moment - clock.now())
        self._move(until - clock.now())

    def reset(self) -> None:
        """Be the machine's again."""
        clock.skip(-self._skipped)
        self._skipped = 0.0

    def _move(self, seconds: float) -> None:
        if seconds > 0:
            clock.skip(seconds)
            self._skipped += seconds
        self._owner.look()
        self._owner.settle()

    def _next(self) -> float | None:
        """When time alone brings something, next."""
        moment = clock.now()
        return min((due for due in self._dues() if due is not None and due > moment), default=None)

    def _dues(self) -> Iterator[float | None]:
        store = self._owner.workspace.store
        for row in store.select(Selection(live=True)):
            yield from (row.due, row.deadline)
        for schedule in store.schedules():
            yield schedule.next_at
        for limit in store.limits():
            yield limit.next_at if limit.waiting else None


def _span(seconds: object, longer: Mapping[str, tuple[object, int]]) -> float:
    try:
        total = seconds_of(seconds)
        for name, (value, unit) in longer.items():
            if isinstance(value, (str, timedelta)):
                raise ValueError(f"{name} is {value!r}, and must be a number")
            total += seconds_of(value) * unit
        return seconds_of(total)
    except ValueError as error:
        raise ValueError(
            f"advance() takes how much time is to pass, and it does not go back: {error}"
        ) from None
