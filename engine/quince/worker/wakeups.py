"""Who goes on, here or elsewhere, when something has happened to other processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from quince.messages import change_of, control_message, pids_of, recheck_message
from quince.worker.outbox import Outbox
from quince.worker.waiting import Waiting
from quince_messaging.contract import BroadcastMessage
from quince_persistence.records import Control, State, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.steps import StepOutcome


class Wakeable(Protocol):
    """A process that this worker drives."""

    waiting: Waiting

    def notify(self, verb: Control) -> None:
        """A control was written for it: apply it as soon as may be."""


class WakeUps:
    """Hands on what commits, signals and broadcasts mean for other processes.

    Args:
        runners: The processes that this worker drives, by pid.
        outbox: Where what concerns others goes.
    """

    def __init__(self, worker_id: str, runners: Mapping[int, Wakeable], outbox: Outbox) -> None:
        self._worker_id = worker_id
        self._runners = runners
        self._outbox = outbox
        self._watched: dict[int, dict[Waiting, None]] = {}

    def watch(self, waits: Waiting) -> None:
        """Have it hear of the ends that it waits for."""
        for pid in waits.awaits:
            self._watched.setdefault(pid, {})[waits] = None

    def unwatch(self, waits: Waiting) -> None:
        """It need not hear of them any more. May be called twice."""
        for pid in waits.awaits:
            watchers = self._watched.get(pid)
            if watchers is not None:
                watchers.pop(waits, None)
                if not watchers:
                    del self._watched[pid]

    def on_termination(self, message: BroadcastMessage) -> None:
        """A broadcast says that processes have ended."""
        for pid in pids_of(message.body, message.sender):
            for waits in list(self._watched.get(pid, ())):
                waits.child_ended(pid)

    def wake(self, outcome: StepOutcome) -> None:
        """A commit has made processes ready, which go on, and has killed others, which end."""
        unowned = []
        for woken in outcome.woken:
            if woken.owner is None:
                unowned.append(woken)
            elif (runner := self._own(woken)) is not None:
                runner.waiting.counted_down()
        if unowned:
            self._outbox.enqueue(unowned)
        self.wake_signalled(outcome.signalled)
        self._tell_killed(outcome.cascade)

    def ended(self, killed: Sequence[ControlOutcome]) -> None:
        """These were killed, at once or by an intent that their owner is to be told; others go on by that."""
        woken = [parent for outcome in killed for parent in outcome.woken]
        self.wake(StepOutcome(woken=woken, cascade=killed))

    def _tell_killed(self, cascade: Sequence[ControlOutcome]) -> None:
        for killed in cascade:
            if killed.applied and killed.before is not None:
                self._outbox.announce(change_of(killed.pid, killed.before.state, State.KILLED))
            if killed.owner == self._worker_id and killed.pid in self._runners:
                self._runners[killed.pid].notify(Control.KILL)
            elif killed.owner is not None:
                self._outbox.call(killed.owner, control_message(Control.KILL, [killed.pid]))

    def wake_signalled(self, woken: Sequence[Woken]) -> None:
        """Signals have made processes ready: they go on, get a task, or their worker is called."""
        for one in woken:
            if one.owner is None:
                self._outbox.enqueue([one])
            elif (runner := self._own(one)) is not None:
                runner.waiting.recheck()
            else:
                self._outbox.call(one.owner, recheck_message(one.pid))

    def _own(self, woken: Woken) -> Wakeable | None:
        return self._runners.get(woken.pid) if woken.owner == self._worker_id else None
