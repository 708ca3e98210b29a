"""In whose step this code runs, and that it waits there for other processes.

The worker is told: it lends the slot of the step to others meanwhile, the awaited ones first; or refuses.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from quince.errors import WouldDeadlock


class Lender(Protocol):
    """Whoever runs a step: lends its slot while the step waits."""

    def lend_slot(self, pid: int, store: str, awaited: Sequence[int], vague: bool) -> str | None:
        """The step of process `pid` waits for these; called again now and then while it does.

        Args:
            store: Identity of the store in which the awaited ones are.
            vague: It or another one does.

        Returns:
            Why it must not wait, or None.

        Raises:
            StoreUnavailable: the store could not be asked.
        """

    def take_back_slot(self, pid: int) -> None:
        """It goes on. Never blocks."""


class RunningStep:
    """A step that runs in this program, for what may wait in it.

    Attributes:
        pid: Of its process.
    """

    def __init__(self, pid: int, lender: Lender) -> None:
        self.pid = pid
        self._lender = lender
        self._ospid = os.getpid()
        self._lock = threading.Lock()
        self._waits: dict[object, Sequence[int]] = {}
        self._over = False

    @property
    def here(self) -> bool:
        """It has not ended, and this is not a child that it has forked."""
        return not self._over and os.getpid() == self._ospid

    def wait_for(self, wait: object, store: str, pids: Sequence[int], *, vague: bool = False) -> None:
        """Say that it waits, or still waits. `go_on` ends that.

        Args:
            wait: Stands for this wait among all that the step has at the same time.
            vague: It waits, or another step of this program does.

        Raises:
            WouldDeadlock: it must not wait so.
            StoreUnavailable: the store could not be asked.
        """
        with self._lock:
            self._waits[wait] = pids
        if (refusal := self._lender.lend_slot(self.pid, store, pids, vague)) is not None:
            raise WouldDeadlock(self.pid, list(pids), refusal)

    def go_on(self, wait: object) -> None:
        """This wait is over. May be called without one."""
        with self._lock:
            last = self._waits.pop(wait, None) is not None and not self._waits
        if last and self.here:
            self._lender.take_back_slot(self.pid)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside the block, also in threads that copy its context, it is the step that runs here."""
        before = _current.set(self)
        _running.add(self)
        try:
            yield
        finally:
            self._over = True
            _running.discard(self)
            _current.reset(before)


_current: ContextVar[RunningStep | None] = ContextVar("quince_running_step", default=None)
_running: set[RunningStep] = set()
_steps_alone = False


def nothing_but_steps() -> None:
    """All code of users that runs in this program from now on is that of steps: also in threads that know no
    context."""
    global _steps_alone
    _steps_alone = True


def steps_here() -> tuple[Sequence[RunningStep], bool]:
    """The steps in one of which the caller is, none outside of steps; and whether that is certain.

    In a thread that knows no context it is any that runs in this program, or none if it does more than steps.
    """
    step = _current.get()
    if step is not None or threading.current_thread() is threading.main_thread():
        return [step] if step is not None and step.here else [], True
    steps = [step for step in _running.copy() if step.here]
    return steps, _steps_alone and len(steps) == 1
