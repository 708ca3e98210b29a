"""How a process moves: the table of transitions, ending, counting down, killing, pausing, releasing."""

from __future__ import annotations

import msgspec

from quince_persistence.errors import IllegalTransition
from quince_persistence.records import TERMINAL, Control, ControlOutcome, State, Woken
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.unit_of_work import UnitOfWork

TRANSITIONS = {
    **dict.fromkeys(set(State) - TERMINAL, frozenset(State) - {State.CREATED}),
    **dict.fromkeys(TERMINAL, frozenset()),
}
"""Which states may follow. A claim makes a created process running, a control may end it before."""

_BODIES = {
    (before.value, after.value): msgspec.json.encode({"from": before, "to": after})
    for before in State
    for after in State
}


def check_transition(row: MutableRow, state: State) -> None:
    """Raise IllegalTransition if the process may not go there."""
    if state not in TRANSITIONS[State(row.state)]:
        raise IllegalTransition(row.pid, row.state, state)


def enter(unit: UnitOfWork, row: MutableRow, state: State, author: str | None = None) -> None:
    """Set the state, with a line of history if it is another one."""
    if row.state != state:
        unit.log(row.pid, "state", _BODIES[row.state, state.value], author)
        row.state = state.value


def end(unit: UnitOfWork, row: MutableRow, state: State, author: str | None = None) -> list[Woken]:
    """Terminate: everything that a live process has is dropped; who awaits it is counted down.

    Returns:
        Those that have nothing left to wait for, and are ready.
    """
    enter(unit, row, state, author)
    waited = row.awaiting > 0 or row.pid in unit.changes.awaits
    row.owner = row.intent = row.intent_reason = row.step = row.due = None
    row.paused = row.tree_paused = row.pause_void = False
    row.awaiting = 0
    row.ended = unit.now
    if row.signals is not None:
        row.signals = None
        unit.changes.signals_dropped.append(row.pid)
    if row.epoch:  # else it was never claimed, and has none
        unit.changes.checkpoints[row.pid] = None
    if waited:
        unit.wait_for_nothing(row)
    unit.change(row)
    woken = [parent for parent in unit.waiting_for(row.pid) if count_down(unit, parent)]
    unit.ended(row.pid)
    return [as_woken(parent) for parent in woken]


def count_down(unit: UnitOfWork, row: MutableRow, over: int = 1) -> bool:
    """So many things less to wait for. True if they were the last ones and the process is ready."""
    row.awaiting -= over
    unit.change(row)
    return row.awaiting == 0 and row.ready


def as_woken(row: MutableRow) -> Woken:
    return Woken(row.pid, row.owner, row.queue, row.priority)


def kill_family(
    unit: UnitOfWork, tops: list[MutableRow], *, author: str | None, reason: str | None, force: bool = False
) -> list[ControlOutcome]:
    """Kill these and all their live descendants: at once where they have stopped (or by force), else by
    an intent for the owner.

    Returns:
        One outcome for each that had not terminated, by pid; with the processes that it woke.
    """
    family = [row for row in unit.family([row.pid for row in tops]) if not row.terminated]
    unit.expect_endings([row.pid for row in family if force or row.stopped])
    dying = {row.pid for row in family}
    return [_kill(unit, row, author, reason, force, dying) for row in family]


def _kill(
    unit: UnitOfWork, row: MutableRow, author: str | None, reason: str | None, force: bool, dying: set[int]
) -> ControlOutcome:
    before = row.frozen()
    if not (force or row.stopped):
        row.intent, row.intent_reason = Control.KILL.value, reason
        unit.change(row)
        return ControlOutcome(row.pid, True, before, row.frozen(), applied=False, owner=row.owner)
    row.status = reason or row.status
    row.exit_message = reason
    woken = [parent for parent in end(unit, row, State.KILLED, author) if parent.pid not in dying]
    after = row.frozen()
    return ControlOutcome(row.pid, True, before, after, applied=True, owner=before.owner, woken=tuple(woken))


def pause(row: MutableRow, reason: str | None) -> None:
    """Set the flag. The caller has taken the owner away, or will, or the owner has suspended its program."""
    row.paused = True
    row.pause_void = False
    if row.intent == Control.PAUSE:
        row.intent = row.intent_reason = None
    row.status = reason or row.status


def release(unit: UnitOfWork, row: MutableRow) -> list[ControlOutcome]:
    """Take the owner away. An intent that waited for the owner is applied here, so an unowned process never
    has one.

    Returns:
        What a kill did: this process and its descendants.
    """
    row.owner = None
    intent, reason = row.intent, row.intent_reason
    row.pause_void = False
    if intent == Control.KILL:
        return kill_family(unit, [row], author=None, reason=reason)
    if intent == Control.PAUSE:
        pause(row, reason)
    unit.change(row)
    return []
