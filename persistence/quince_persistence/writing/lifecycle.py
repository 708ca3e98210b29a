"""How a process moves: the table of transitions, ending, counting down, killing, pausing, releasing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from quince_persistence.errors import IllegalTransition
from quince_persistence.records import TERMINAL, Control, State, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.steps import RanStep
from quince_persistence.schema.mutable_row import WAIT_ANY, MutableRow
from quince_persistence.schema.signal_state import SignalState
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


def enter(
    unit: UnitOfWork,
    row: MutableRow,
    state: State,
    author: str | None = None,
    revision: str | None = None,
    ran: Sequence[RanStep] = (),
) -> None:
    """Set the state, with a line of history if it is another one, or if there is something to be said.

    Args:
        revision: That of the code that has brought it there.
        ran: The steps that have run since the line before.
    """
    if row.state == state:
        if ran:
            unit.log(row.pid, "step", b'{"ran":%s}' % msgspec.json.encode(ran), author)
        return
    body = _BODIES[row.state, state.value]
    if revision is not None:
        body = b'%s,"revision":%s}' % (body[:-1], msgspec.json.encode(revision))
    if ran:
        body = b'%s,"ran":%s}' % (body[:-1], msgspec.json.encode(ran))
    elif author is not None and row.idle_since is not None and row.state != State.CREATED:  # it is claimed
        body = b'%s,"since":%s}' % (body[:-1], msgspec.json.encode(row.idle_since))
    unit.log(row.pid, "state", body, author)
    row.state = state.value


def end(
    unit: UnitOfWork,
    row: MutableRow,
    state: State,
    author: str | None = None,
    revision: str | None = None,
    ran: Sequence[RanStep] = (),
) -> list[Woken]:
    """Terminate; who awaits it is counted down. What a live process has is dropped, but for its checkpoint,
    once-blocks and signals if it has not ended well: it can go on from there.

    Returns:
        Those that have nothing left to wait for, and are ready.
    """
    enter(unit, row, state, author, revision, ran)
    waited = row.awaiting > 0 or row.pid in unit.changes.awaits
    well = ended_well(state, row.exit_status)
    row.owner = row.intent = row.intent_reason = row.due = row.deadline = row.wait_mode = None
    row.paused = row.tree_paused = row.pause_void = False
    row.awaiting = 0
    row.ended = unit.now
    if not well or row.parent is None:
        unit.happenings.has_ended(row, well=well)
    if well:
        _forget(unit, row)
    if waited:
        unit.wait_for_nothing(row)
    unit.change(row)
    woken = [parent for parent in unit.waiting_for(row.pid) if count_down(unit, parent)]
    unit.ended(row.pid)
    return [as_woken(parent) for parent in woken]


def ended_well(state: str, exit_status: int | None) -> bool:
    """Whether one that has ended so has done what it was to do: it needs nothing any more to go on."""
    return state == State.FINISHED and not exit_status


def _forget(unit: UnitOfWork, row: MutableRow) -> None:
    """Drop what it would need to go on."""
    row.step = row.progress = None
    row.attempt = 0
    if row.signals is not None:
        row.signals = None
        unit.changes.signals_dropped.append(row.pid)
    if row.epoch:  # else it was never claimed, and has none
        unit.changes.checkpoints[row.pid] = None


def count_down(unit: UnitOfWork, row: MutableRow, over: int = 1) -> bool:
    """So many things less to wait for. True if that was enough and the process is ready."""
    row.awaiting -= over
    if row.wait_mode is not None and (row.awaiting == 0 or WAIT_ANY in row.wait_mode):
        wait_no_more(unit, row)
    unit.change(row)
    return row.awaiting == 0 and row.ready


def wait_no_more(unit: UnitOfWork, row: MutableRow) -> None:
    """Enough has come, or the time is over: what has not come is not waited for any more."""
    row.awaiting = 0
    row.due = row.wait_mode = None
    unit.wait_for_nothing(row)
    if row.signals is not None:
        state = SignalState.last(row.signals)
        state.wait_no_more()
        row.signals = state.text()


def as_woken(row: MutableRow) -> Woken:
    return Woken(row.pid, row.owner, row.queue, row.priority)


_NO_OTHERS: Mapping[int, str] = {}


def kill_family(
    unit: UnitOfWork,
    tops: list[MutableRow],
    *,
    author: str | None,
    reason: str | None,
    force: bool = False,
    others: Mapping[int, str] = _NO_OTHERS,
) -> list[ControlOutcome]:
    """Kill these and all their live descendants: at once where they have stopped (or by force), else by
    an intent for the owner.

    Args:
        others: The reason, where it is another one, by pid.

    Returns:
        One outcome for each that had not terminated, by pid; with the processes that it woke.
    """
    family = [row for row in unit.family([row.pid for row in tops]) if not row.terminated]
    dying = {row.pid for row in family}
    at_once = {row.pid for row in family if force or row.stopped}  # before the end of one wakes another
    unit.expect_endings(list(at_once))
    return [
        _kill(unit, row, author, others.get(row.pid, reason), dying, at_once=row.pid in at_once)
        for row in family
    ]


def _kill(
    unit: UnitOfWork,
    row: MutableRow,
    author: str | None,
    reason: str | None,
    dying: set[int],
    *,
    at_once: bool,
) -> ControlOutcome:
    before = row.frozen()
    if not at_once:
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
    if row.pausing:
        row.intent = row.intent_reason = None
    row.status = reason or row.status


def release(unit: UnitOfWork, row: MutableRow) -> list[ControlOutcome]:
    """Take the owner away. An intent that waited for the owner is applied here, so an unowned process never
    has one.

    Returns:
        What a kill did: this process and its descendants.
    """
    row.owner = None
    row.pause_void = False
    if row.awaiting and row.state == State.RUNNING:  # what its step has waited for was retried meanwhile
        enter(unit, row, State.WAITING)
    if row.intent == Control.KILL:
        return kill_family(unit, [row], author=None, reason=row.intent_reason)
    if row.pausing:
        pause(row, row.intent_reason)
    unit.change(row)
    return []
