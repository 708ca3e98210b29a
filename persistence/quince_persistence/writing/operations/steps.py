"""What the owner of a process writes: steps, releases, suspensions; and what is added to its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from quince_persistence.errors import KeyTaken, RecordRefused, UnknownProcess
from quince_persistence.records import (
    TERMINAL,
    Control,
    ControlOutcome,
    NewEvent,
    State,
    Step,
    StepOutcome,
    Woken,
)
from quince_persistence.schema.mutable_row import CONTROLS, MutableRow
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.writing.lifecycle import (
    as_woken,
    check_transition,
    end,
    enter,
    kill_family,
    pause,
    release,
)
from quince_persistence.writing.operations.base import ClaimedOperation, Operation
from quince_persistence.writing.operations.insert import check_new, insert_new, need_new
from quince_persistence.writing.operations.signals import add_signal
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

Lines = Sequence[tuple[str, bytes, str | None]]


class _StepOperation(ClaimedOperation[StepOutcome]):
    fenced = StepOutcome(fenced=True)


class CommitStep(_StepOperation):
    """One step, one transaction."""

    def __init__(self, step: Step) -> None:
        super().__init__(
            step.pid,
            step.owner,
            step.epoch,
            len(step.checkpoint or b"")
            + len(step.outputs or b"")
            + sum(len(child.inputs) for child in step.children)
            + sum(len(signal.value) for signal in step.sends),
        )
        self._step = step

    def need(self, needs: Needs) -> None:
        step = self._step
        super().need(needs)
        if step.children:
            need_new(needs, step.children)
        if step.awaits:
            inserted = {child.pid for child in step.children}
            needs.pids.update(pid for pid in step.awaits if pid not in inserted)
        needs.pids.update(signal.pid for signal in step.sends)
        if step.state in TERMINAL:
            needs.ending.add(step.pid)
            if step.state is State.KILLED:
                needs.families.add(step.pid)

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        step = self._step
        check_transition(row, step.state)
        self._check_mentioned(unit)
        lines = encode_events(step.events)
        if row.intent == Control.KILL and step.state in TERMINAL:
            return self._killed_first(unit, row, lines)
        for child in step.children:
            insert_new(unit, child, row if child.parent is None else unit.rows[child.parent])
        self._write(unit, row, lines)
        outcome = self._end(unit, row) if step.state in TERMINAL else self._go_on(unit, row)
        return replace(outcome, signalled=self._send(unit)) if step.sends else outcome

    def _check_mentioned(self, unit: UnitOfWork) -> None:
        step = self._step
        if step.children:
            check_new(unit, step.children)
            for child in step.children:
                if child.key is not None and child.key in unit.taken:
                    raise KeyTaken(child.key, unit.taken[child.key])
        if step.awaits and step.state is State.WAITING:
            inserted = {child.pid for child in step.children}
            for pid in step.awaits:
                if pid == step.pid:
                    raise RecordRefused(f"process {pid} cannot wait for itself")
                if pid not in inserted and pid not in unit.rows:
                    raise UnknownProcess(pid, f"so process {step.pid} cannot wait for it")

    def _write(self, unit: UnitOfWork, row: MutableRow, lines: Lines) -> None:
        """What every step writes, whatever its state."""
        step, changes = self._step, unit.changes
        row.step = step.step
        row.deaths = row.deaths_alone = 0  # it got on: it is no poison
        if step.status is not None:
            row.status = step.status
        if step.state in TERMINAL:
            row.exit_status, row.exit_message = step.exit_status, step.exit_message
        if step.checkpoint is not None:
            changes.checkpoints[row.pid] = step.checkpoint
        if step.outputs is not None or step.error is not None:
            changes.results[row.pid] = (step.outputs, step.error)
        changes.signals_used += [signal.seq for signal in step.used]
        for kind, body, author in lines:
            unit.log(row.pid, kind, body, author)

    def _end(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        step = self._step
        if step.state is not State.KILLED:
            return StepOutcome(woken=end(unit, row, step.state), state=step.state)
        row.status = step.reason or row.intent_reason or row.status
        reason = row.status
        woken = end(unit, row, step.state)
        cascade = kill_family(unit, [row], author=None, reason=reason)
        return StepOutcome(woken=_all_woken(woken, cascade), state=step.state, cascade=cascade)

    def _killed_first(self, unit: UnitOfWork, row: MutableRow, lines: Lines) -> StepOutcome:
        """A kill was accepted before this last step ended: it holds. Its outputs are kept."""
        step = self._step
        if step.outputs is not None or step.error is not None:
            unit.changes.results[row.pid] = (step.outputs, step.error)
        for kind, body, author in lines:
            unit.log(row.pid, kind, body, author)
        cascade = release(unit, row)
        return _outcome(row, _all_woken([], cascade), cascade)

    def _go_on(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        step = self._step
        if row.awaiting:
            unit.wait_for_nothing(row)
        enter(unit, row, step.state)
        row.due = step.due if step.state is State.WAITING else None
        row.awaiting = self._await(unit, row)
        if step.signals or row.signals is not None:
            self._await_signals(row)
        if row.due is not None and not step.deadline:
            row.awaiting += 1
        cascade: list[ControlOutcome] = []
        woken: list[Woken] = []
        if step.paused:
            if not row.pause_void:  # else a play came in between, and wins
                pause(row, step.reason)
            cascade = release(unit, row)
            if row.ready:
                woken.append(as_woken(row))
        elif step.release and not (step.state is State.WAITING and not row.awaiting and row.intent is None):
            cascade = release(unit, row)
        row.pause_void = False
        unit.change(row)
        return _outcome(row, _all_woken(woken, cascade), cascade)

    def _await(self, unit: UnitOfWork, row: MutableRow) -> int:
        """Wait for those that have not terminated. Returns how many they are."""
        step = self._step
        if not step.awaits or step.state is not State.WAITING:
            return 0
        live = [pid for pid in dict.fromkeys(step.awaits) if not unit.rows[pid].terminated]
        if live:
            unit.wait_for(row, live)
        return len(live)

    def _await_signals(self, row: MutableRow) -> None:
        """Use signals up, and wait for those that have not come."""
        step, state = self._step, SignalState.read(row.signals)
        state.take(signal.name for signal in step.used)
        state.wait(step.signals if step.state is State.WAITING else (), deadline=step.deadline)
        row.awaiting += len(state.missing)
        if step.deadline and not state.missing:
            row.due = None
        row.signals = state.text()

    def _send(self, unit: UnitOfWork) -> list[Woken]:
        """Store signals of this step for others, unless they have terminated."""
        woken: list[Woken] = []
        for signal in self._step.sends:
            there = unit.rows.get(signal.pid)
            if there is not None and not there.terminated:
                woken += add_signal(unit, there, signal, f"process {self._step.pid}")
        return woken


class Release(_StepOperation):
    """Give a claim up without a step."""

    def __init__(self, pid: int, owner: str, epoch: int, *, always: bool = False) -> None:
        super().__init__(pid, owner, epoch)
        self._always = always

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        waits_for_nothing = row.state == State.WAITING and row.awaiting == 0
        if waits_for_nothing and row.intent is None and not row.paused and not self._always:
            return StepOutcome(kept=True, state=State.WAITING, ready=row.ready)
        cascade = release(unit, row)
        return _outcome(row, _all_woken([], cascade), cascade)


class Suspend(_StepOperation):
    """Apply a pause in the middle of a step, whose program was stopped: the owner keeps the process."""

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        if row.intent == Control.PAUSE:
            pause(row, row.intent_reason)
            unit.change(row)
        return _outcome(row, [], [])


class Report(Operation[None]):
    """Lines of history outside a step."""

    def __init__(self, pid: int, events: Sequence[NewEvent]) -> None:
        super().__init__()
        self._pid, self._events = pid, events

    def need(self, needs: Needs) -> None:
        needs.pids.add(self._pid)  # its lock keeps the lines of one process in the order of commits

    def apply(self, unit: UnitOfWork) -> None:
        if self._pid not in unit.rows:
            raise UnknownProcess(self._pid, "so nothing can be written to its history")
        for kind, body, author in encode_events(self._events):
            unit.log(self._pid, kind, body, author)


def encode_events(events: Sequence[NewEvent]) -> Lines:
    """Events with their bodies as JSON."""
    try:
        return [(event.kind, msgspec.json.encode(event.body), event.author) for event in events]
    except (TypeError, ValueError) as error:
        raise RecordRefused(f"the body of an event is not plain JSON: {error}") from error


def _outcome(row: MutableRow, woken: Sequence[Woken], cascade: Sequence[ControlOutcome]) -> StepOutcome:
    return StepOutcome(
        awaiting=row.awaiting,
        intent=CONTROLS[row.intent],
        intent_reason=row.intent_reason,
        woken=woken,
        state=State(row.state),
        paused=row.paused,
        ready=row.ready,
        cascade=cascade,
    )


def _all_woken(woken: Sequence[Woken], cascade: Sequence[ControlOutcome]) -> Sequence[Woken]:
    return [*woken, *(parent for outcome in cascade for parent in outcome.woken)]
