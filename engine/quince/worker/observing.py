"""Looking on while a worker works: for metrics and traces. Where nobody does, nothing of this is there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from quince.messages import pids_of
from quince.worker.outbox import Outbox
from quince.worker.seats import Seat
from quince_messaging.contract import BroadcastMessage
from quince_persistence.records import Claim, ProcessRow, Result, State
from quince_persistence.records.steps import Step


@dataclass(slots=True)
class Attempt:
    """One try of one step.

    Attributes:
        row: Of its process, as it was claimed.
        number: It is the first try, the second, ...
        step: Its name, as far as that is known before it has run.
        began, ended: In seconds since the epoch.
        span: Under which it runs, as a `traceparent`.
    """

    row: ProcessRow
    number: int
    step: str | None
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    span: str | None = None


class Observer(Protocol):
    """Somebody who looks on. None of its methods may block, or raise."""

    def begins(self, attempt: Attempt) -> None:
        """A step is about to run."""

    def ended(self, attempt: Attempt, step: Step | None, error: BaseException | None) -> None:
        """It has ended so, and is not committed yet; or it was broken off with an error."""

    def changed(self, pid: int, state: State, class_path: str | None) -> None:
        """A commit of this worker has brought a process into another state.

        Args:
            class_path: None: it is none that is at work here.
        """


class Seats(Protocol):
    """What gives seats."""

    def seat(self, claim: Claim) -> Any:
        """A place for a claimed process."""


class ObservedSteps:
    """Gives seats whose steps are looked at."""

    def __init__(self, seats: Seats, observers: Sequence[Observer]) -> None:
        self._seats, self._observers = seats, observers
        self.classes: dict[int, str] = {}

    def seat(self, claim: Claim) -> Seat:
        self.classes[claim.row.pid] = claim.row.class_path
        return _ObservedSeat(self._seats.seat(claim), claim, self)

    def begins(self, attempt: Attempt) -> None:
        for observer in self._observers:
            observer.begins(attempt)

    def ended(self, attempt: Attempt, step: Step | None, error: BaseException | None) -> None:
        attempt.ended = time.time()
        for observer in self._observers:
            observer.ended(attempt, step, error)

    def changed(self, message: BroadcastMessage) -> None:
        """A change of a process is announced."""
        kind, _, states = (message.subject or "").partition(".")
        before, _, after = states.partition(".")
        if kind == "state_changed" and before != after:
            for pid in pids_of(message.body, message.sender):
                for observer in self._observers:
                    observer.changed(pid, State(after), self.classes.get(pid))


class _ObservedSeat:
    """See `Seat`."""

    def __init__(self, seat: Seat, claim: Claim, steps: ObservedSteps) -> None:
        self._seat, self._row, self._steps = seat, claim.row, steps
        self._failed, self._next = claim.row.attempt, claim.row.step
        self.span: str | None = None

    @property
    def on_failure(self) -> str | None:
        return self._seat.on_failure

    async def step(self, results: Sequence[Result] = ()) -> Step:
        attempt = Attempt(self._row, self._failed + 1, self._next)
        self._steps.begins(attempt)
        self._seat.span = attempt.span
        try:
            step = await self._seat.step(results)
        except BaseException as error:
            self._steps.ended(attempt, None, error)
            raise
        self._failed, self._next = step.attempt, step.step
        attempt.step = step.ran or attempt.step
        self._steps.ended(attempt, step, None)
        return step

    def stop(self, stopping: bool) -> None:
        self._seat.stop(stopping)

    def kill(self, *, force: bool) -> None:
        self._seat.kill(force=force)

    async def suspend(self, *, now: bool) -> bool:
        return await self._seat.suspend(now=now)

    def resume(self) -> None:
        self._seat.resume()

    def leave(self) -> None:
        self._steps.classes.pop(self._row.pid, None)
        self._seat.leave()


class ObservedOutbox(Outbox):
    """An outbox of which each announcement is looked at."""

    observed: ObservedSteps

    def announce(self, message: BroadcastMessage) -> None:
        super().announce(message)
        self.observed.changed(message)
