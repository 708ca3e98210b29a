"""What goes on beside a wait for processes: who waits in silence is told if nobody works; who waits inside a
step lends its slot."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from quince.client.why import nobody_works
from quince.errors import WouldDeadlock
from quince.on_hold import is_held
from quince.processes.running_step import RunningStep, steps_here
from quince.showing import notebook_shell
from quince.workspace.workspace import Workspace
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import ProcessRow

_log = StructuredLogger("quince")

REMIND_SECONDS = 3.0
"""Seconds that a wait goes on in silence though no worker is there."""
FIRST_AGAIN = 1.0
LONGEST_AGAIN = 30.0
"""Seconds until the worker is asked again whether a step may wait on."""

Progress = Callable[[Sequence[ProcessRow]], None]


def settled(row: ProcessRow) -> bool:
    """It has ended, or nothing but a person can make it go on."""
    return row.terminated or is_held(row)


@contextmanager
def waiting(workspace: Workspace) -> Iterator[Progress]:
    """What is to be called with the rows of those that are awaited, after every read of them. It raises
    WouldDeadlock if the wait is inside a step and must not go on."""
    reminder, (steps, certain) = _Reminder(workspace), steps_here()
    if not steps:
        yield reminder.look if notebook_shell() is None else _with_bar(reminder.look, workspace)
        return
    inside = _WaitInside(steps, certain, workspace)

    def look(rows: Sequence[ProcessRow]) -> None:
        reminder.look(rows)
        inside.look(rows)

    try:
        yield look
    finally:
        for step in steps:
            step.go_on(inside)


def _with_bar(look: Progress, workspace: Workspace) -> Progress:
    """The same, with a bar in the notebook in which this runs."""
    bar = importlib.import_module("quince.notebook.bar").Bar(workspace)

    def both(rows: Sequence[ProcessRow]) -> None:
        look(rows)
        bar.look(rows)

    return both


class _Reminder:
    """Says, once, after a moment of waiting, that nobody works who could end it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._due = time.monotonic() + REMIND_SECONDS

    def look(self, rows: Sequence[ProcessRow]) -> None:
        for row in rows if time.monotonic() >= self._due else ():
            if (nobody := nobody_works(self._workspace, row)) is not None:
                self._due = float("inf")
                _log.warning(
                    "waiting for process %(pid)s: %(reason)s",
                    pid=row.pid,
                    class_=row.class_path,
                    queue=row.queue,
                    reason=nobody,
                )
                return


class _WaitInside:
    """Tells the worker of the step, of each if it may be any of several, at first and now and then."""

    def __init__(self, steps: Sequence[RunningStep], certain: bool, workspace: Workspace) -> None:
        self._steps = steps
        self._certain = certain
        self._workspace = workspace
        self._pause = FIRST_AGAIN
        self._due = 0.0

    def look(self, rows: Sequence[ProcessRow]) -> None:
        pids = [row.pid for row in rows if not settled(row)]
        if not pids or time.monotonic() < self._due:
            return
        for step in self._steps:
            try:
                step.wait_for(self, self._workspace.store.identity, pids, vague=len(self._steps) > 1)
            except WouldDeadlock:
                if self._certain:
                    raise
        self._due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_AGAIN)
