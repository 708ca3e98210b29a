"""Signals: values that are sent to a process and stay with it until a step has used them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quince_persistence.records import ControlOutcome, NewSignal, State, Woken
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.writing.lifecycle import count_down, wake_up
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class Send(Operation[Sequence[ControlOutcome]]):
    """Signals from outside; one to a process that has terminated, or is not there, is refused."""

    def __init__(self, signals: Sequence[NewSignal], author: str) -> None:
        super().__init__(sum(len(signal.value) for signal in signals))
        self._signals, self._author = tuple(signals), author

    def need(self, needs: Needs) -> None:
        needs.pids.update(signal.pid for signal in self._signals)

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        return [self._send(unit, signal) for signal in self._signals]

    def _send(self, unit: UnitOfWork, signal: NewSignal) -> ControlOutcome:
        row = unit.rows.get(signal.pid)
        if row is None:
            refused = f"there is no process {signal.pid}"
            return ControlOutcome(signal.pid, False, None, None, applied=False, refused=refused)
        before = row.frozen()
        if row.terminated:
            refused = f"process {signal.pid} has terminated ({row.state})"
            return ControlOutcome(signal.pid, True, before, before, applied=False, refused=refused)
        woken = deliver(unit, row, signal, self._author)
        return ControlOutcome(signal.pid, True, before, row.frozen(), applied=True, woken=woken)


def deliver(unit: UnitOfWork, row: MutableRow, signal: NewSignal, author: str | None) -> Sequence[Woken]:
    """Lay a signal into the mailbox of a live process; it is ready if that was all it waited for."""
    unit.changes.signals.append(
        {"pid": row.pid, "name": signal.name, "blob": signal.value, "author": author, "at": unit.now}
    )
    unit.log(row.pid, "signal", msgspec.json.encode({"name": signal.name}), author)
    mailbox = SignalState.read(row.signals)
    awaited = mailbox.put(signal.name) and row.state == State.WAITING
    if awaited and mailbox.deadline and not mailbox.missing:
        mailbox.deadline, row.due = False, None
    row.signals = mailbox.text()
    if awaited and count_down(unit, row):
        return (wake_up(row),)
    unit.change(row)
    return ()
