"""Signals: values that are sent to a process and stay with it until a step has used them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from quince_persistence.codec.folding import fold
from quince_persistence.records import NewSignal, State, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.writing.lifecycle import as_woken, count_down
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.selected import refusal
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class Send(Operation[Sequence[ControlOutcome]]):
    """Signals from outside; one to a process that has terminated or does not exist is refused."""

    def __init__(self, signals: Sequence[NewSignal], author: str) -> None:
        given: dict[str, bytes] = {}
        self._signals = [replace(signal, value=fold(signal.value, given)) for signal in signals]
        self._author = author
        blobs = [signal.value for signal in self._signals]
        super().__init__(sum(map(len, blobs)), blobs=blobs, given=given)

    def need(self, needs: Needs) -> None:
        needs.pids.update(signal.pid for signal in self._signals)

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        return [self._send(unit, signal) for signal in self._signals]

    def _send(self, unit: UnitOfWork, signal: NewSignal) -> ControlOutcome:
        row = unit.rows.get(signal.pid)
        if row is None or row.terminated:
            return refusal(signal.pid, row)
        before = row.frozen()
        woken = add_signal(unit, row, signal, self._author)
        return ControlOutcome(signal.pid, True, before, row.frozen(), applied=True, woken=woken)


def add_signal(unit: UnitOfWork, row: MutableRow, signal: NewSignal, author: str | None) -> Sequence[Woken]:
    """Store a signal for a live process, which is ready if that was all that it waited for."""
    unit.changes.signals.append(
        {"pid": row.pid, "name": signal.name, "blob": signal.value, "author": author, "at": unit.now}
    )
    unit.log(row.pid, "signal", msgspec.json.encode({"name": signal.name}), author)
    state = SignalState.read(row.signals)
    awaited = state.put(signal.name) and row.state == State.WAITING
    if awaited and state.deadline and not state.missing:
        state.deadline, row.due = False, None
    row.signals = state.text()
    if awaited and count_down(unit, row):
        return (as_woken(row),)
    unit.change(row)
    return ()
