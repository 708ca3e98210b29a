"""What the owner of a process writes: steps, releases, suspensions; and what is added to its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from quince_persistence.errors import KeyTaken, RecordRefused, UnknownProcess
from quince_persistence.records import TERMINAL, Control, NewEvent, State, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.steps import Step, StepOutcome
from quince_persistence.schema.kept import Kept
from quince_persistence.schema.mutable_row import CONTROLS, MutableRow, wait_mode
from quince_persistence.schema.said import NOTHING, Said
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.writing.caching import look_up, remember
from quince_persistence.writing.changes import Changes
from quince_persistence.writing.contents import blobs_of, folded_step
from quince_persistence.writing.events import Lines, encode_events, marked, without_told
from quince_persistence.writing.lifecycle import (
    as_woken,
    check_transition,
    end,
    ended_well,
    enter,
    kill_family,
    pause,
    release,
    wait_no_more,
)
from quince_persistence.writing.operations.base import ClaimedOperation, Operation
from quince_persistence.writing.operations.insert import check_new, insert_new, need_new
from quince_persistence.writing.operations.signals import add_signal
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class _StepOperation(ClaimedOperation[StepOutcome]):
    fenced = StepOutcome(fenced=True)

    def answer(self, unit: UnitOfWork, outcome: StepOutcome) -> StepOutcome:
        if outcome.fenced or not (granted := unit.grants.take()):
            return outcome
        return replace(outcome, woken=[*outcome.woken, *granted])


class CommitStep(_StepOperation):
    """One step, one transaction."""

    def __init__(self, step: Step) -> None:
        given = dict(step.contents)
        step = folded_step(step, given)
        blobs = blobs_of(step)
        super().__init__(step.pid, step.owner, step.epoch, sum(map(len, blobs)), blobs=blobs, given=given)
        self._step = step
        self._cached: Sequence[int] = ()

    def find(self, unit: UnitOfWork) -> None:
        if self._step.children:
            self._cached = look_up(unit, self._step.children)

    def need(self, needs: Needs) -> None:
        step = self._step
        super().need(needs)
        if step.children:
            need_new(needs, step.children)
            needs.pids.update(self._cached)
        if step.awaits:
            inserted = {child.pid for child in step.children}
            needs.pids.update(pid for pid in step.awaits if pid not in inserted)
        needs.pids.update(signal.pid for signal in step.sends)
        needs.pids.update(step.refers)
        if step.kills:
            needs.families.update(set(step.kills).difference(child.pid for child in step.children))
        if step.state in TERMINAL:
            needs.ending.add(step.pid)
            if step.state is State.KILLED:
                needs.families.add(step.pid)

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        step = self._step
        check_transition(row, step.state)
        self._check_mentioned(unit)
        lines = self._lines(row)
        if row.intent == Control.KILL and step.state in TERMINAL:
            return self._killed_first(unit, row, lines)
        moved = list(self._insert(unit, row))
        for limit in step.limits:
            unit.grants.add(limit, row.pid)
        killed = self._kill(unit) if step.kills else []
        self._write(unit, row, lines)
        outcome = self._end(unit, row) if step.state in TERMINAL else self._go_on(unit, row)
        if killed:
            woken, cascade = _all_woken(outcome.woken, killed), [*killed, *outcome.cascade]
            outcome = replace(outcome, woken=woken, cascade=cascade)
        if moved:
            outcome = replace(outcome, woken=[*outcome.woken, *moved])
        if self._cached:
            served = [child.pid for child in step.children if unit.rows[child.pid].terminated]
            outcome = replace(outcome, served=served)
        return replace(outcome, signalled=self._send(unit)) if step.sends else outcome

    def _insert(self, unit: UnitOfWork, row: MutableRow) -> Iterator[Woken]:
        """Insert its children, and tell those whose task belongs elsewhere than its owner knows: their parent
        was moved."""
        for child in self._step.children:
            made = insert_new(unit, child, row if child.parent is None else unit.rows[child.parent])
            if made.ready and (made.queue, made.priority) != (child.queue, child.priority):
                yield as_woken(made)

    def _lines(self, row: MutableRow) -> Lines:
        """What the step adds to the history, and what it has not told while it ran."""
        lines = marked(row, encode_events(self._step.events))
        said = Said.read(row.progress) if self._step.run else NOTHING
        return without_told(lines, said.told) if said.run == self._step.run else lines

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
        for pid in step.kills:
            there = unit.rows.get(pid)
            if pid not in {child.pid for child in step.children} and (
                there is None or there.parent != step.pid
            ):
                raise RecordRefused(f"process {step.pid} can kill its children, and {pid} is none of them")

    def _kill(self, unit: UnitOfWork) -> list[ControlOutcome]:
        """Kill the children that the step wants killed."""
        author = f"process {self._step.pid}"
        tops = [unit.rows[pid] for pid in dict.fromkeys(self._step.kills)]
        killed = kill_family(unit, tops, author=author, reason=f"killed by {author}")
        body = msgspec.json.encode({"verb": Control.KILL.value, "reason": None})
        for one in killed:
            unit.log(one.pid, "control", body, author)
        return killed

    def _write(self, unit: UnitOfWork, row: MutableRow, lines: Lines) -> None:
        """What every step writes, whatever its state."""
        step, changes = self._step, unit.changes
        if step.state not in TERMINAL:
            row.attempt, row.progress = step.attempt, None
        elif step.progress is not None:
            row.progress = Said(step.run, progress=step.progress).text()
        if step.step is not None or step.state not in TERMINAL:
            row.step = (step.ran if step.state in TERMINAL else None) or step.step
        if step.state is not State.EXCEPTED:  # else they may be why
            row.deaths = row.deaths_alone = 0
        if step.status is not None:
            row.status = step.status
        if step.state in TERMINAL:
            row.exit_status, row.exit_message = step.exit_status, step.exit_message
        self._keep(changes, row)
        if step.outputs is not None or step.error is not None:
            changes.results[row.pid] = (step.outputs, step.error)
        changes.signals_used += [signal.seq for signal in step.used]
        for pid in step.refers:
            if pid in unit.rows:
                changes.refers.append({"target": pid, "pid": row.pid, "always": False})
        for kind, body, author in lines:
            unit.log(row.pid, kind, body, author)

    def _keep(self, changes: Changes, row: MutableRow) -> None:
        """Write its checkpoint. One after a failed attempt (its handler has changed the context) still stands
        before the same step, and after the same wait."""
        step = self._step
        if step.failed:
            if step.checkpoint is not None:
                changes.revised[row.pid] = step.checkpoint
            return
        if step.keep and (step.checkpoint is not None or ended_well(step.state, step.exit_status)):
            changes.past.append({"at": row.pid, "ran": step.ran})
        if step.checkpoint is not None:
            changes.checkpoints[row.pid] = Kept.of(step)

    def _end(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        step = self._step
        if step.state is not State.KILLED:
            woken = end(unit, row, step.state, revision=step.revision, ran=step.history)
            if ended_well(row.state, row.exit_status):
                remember(unit, row, step.revision)
            return StepOutcome(woken=woken, state=step.state)
        row.status = step.reason or row.intent_reason or row.status
        reason = row.status
        woken = end(unit, row, step.state, revision=step.revision, ran=step.history)
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
        row.wait_mode = None
        enter(unit, row, step.state, revision=step.revision, ran=step.history)
        row.due = step.due if step.state is State.WAITING else None
        over = self._await(unit, row)
        if step.signals or row.signals is not None:
            self._await_signals(row)
        if row.due is not None and not (step.deadline or step.wait_due):
            row.awaiting += 1
        self._set_mode(unit, row)
        if step.signals and row.awaiting:
            unit.happenings.waits_for_signals(row, SignalState.read(row.signals).missing)
        cascade: list[ControlOutcome] = []
        woken: list[Woken] = []
        if step.paused:
            if not row.pause_void:  # else a play came in between, and wins
                pause(row, step.reason)
                unit.happenings.was_put_aside(row, step.reason)
            cascade = release(unit, row)
            if row.ready:
                woken.append(as_woken(row))
        elif step.release and not (step.state is State.WAITING and not row.awaiting and row.intent is None):
            cascade = release(unit, row)
        row.pause_void = False
        unit.change(row)
        outcome = _outcome(row, _all_woken(woken, cascade), cascade)
        return replace(outcome, over=over) if over else outcome

    def _await(self, unit: UnitOfWork, row: MutableRow) -> Sequence[int]:
        """Wait for those that have not terminated. Returns the others."""
        step = self._step
        row.awaiting = 0
        if not step.awaits or step.state is not State.WAITING:
            return ()
        live = [pid for pid in dict.fromkeys(step.awaits) if not unit.rows[pid].terminated]
        if live:
            unit.wait_for(row, live)
        row.awaiting = len(live)
        return [pid for pid in step.awaits if unit.rows[pid].terminated]

    def _set_mode(self, unit: UnitOfWork, row: MutableRow) -> None:
        """What ends the wait besides the last thing that it waits for; it may be over already."""
        step = self._step
        if step.state is not State.WAITING or not (step.wait_any or step.wait_due):
            return
        asked = len(set(step.awaits)) + len(step.signals)
        if not row.awaiting or (step.wait_any and row.awaiting < asked):
            wait_no_more(unit, row)
        else:
            row.wait_mode = wait_mode(step)

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
        waits_for_nothing = row.state == State.WAITING and row.awaiting == 0 and row.granted is not False
        if waits_for_nothing and row.intent is None and not row.paused and not self._always:
            return StepOutcome(kept=True, state=State.WAITING, ready=row.ready)
        cascade = release(unit, row)
        return _outcome(row, _all_woken([], cascade), cascade)


class Suspend(_StepOperation):
    """Apply a pause in the middle of a step, whose program was stopped: the owner keeps the process."""

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        if row.pausing:
            pause(row, row.intent_reason)
            unit.change(row)
        return _outcome(row, [], [])


class RecordDeath(_StepOperation):
    """Count the end of a step host in which the process was at work; the owner keeps the process."""

    def __init__(
        self, pid: int, owner: str, epoch: int, event: NewEvent, *, deaths: int, alone: bool
    ) -> None:
        super().__init__(pid, owner, epoch)
        self._event, self._deaths, self._by_itself = event, deaths, alone

    def change(self, unit: UnitOfWork, row: MutableRow) -> StepOutcome:
        if row.deaths < self._deaths:  # else it is written already
            row.deaths = self._deaths
            row.deaths_alone += self._by_itself
            for kind, body, author in encode_events([self._event]):
                unit.log(row.pid, kind, body, author)
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
        itself=as_woken(row),
    )


def _all_woken(woken: Sequence[Woken], cascade: Sequence[ControlOutcome]) -> Sequence[Woken]:
    return [*woken, *(parent for outcome in cascade for parent in outcome.woken)]
