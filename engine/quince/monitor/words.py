"""A process in words: the state as it is to be understood, what it does, how far it is."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from quince_persistence.records import Control, ProcessRow, State
from quince_persistence.records.limits import LimitWait


class Shown(enum.StrEnum):
    """What is to be seen of a process at a glance: its state, with what stands beside it."""

    CREATED = "created"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    """It has finished with an exit status other than 0."""
    EXCEPTED = "excepted"
    KILLED = "killed"


_COMING = {Control.PAUSE: "pausing", Control.KILL: "killing", Control.PLAY: "resuming"}


def actual_state(row: ProcessRow) -> State:
    """The state as it is to be understood.

    A step that runs is not written down as a state of its own: a process that a worker holds, and
    that has nothing to wait for, runs.
    """
    if row.owner is not None and not row.terminated and row.awaiting == 0:
        return State.RUNNING
    return row.state


def shown(row: ProcessRow) -> Shown:
    """What it is at a glance."""
    state = actual_state(row)
    if row.paused and not row.terminated:
        return Shown.PAUSED
    if state is State.FINISHED and row.exit_status:
        return Shown.FAILED
    return Shown(state.value)


def glance(counts: Mapping[State, int], paused: Mapping[State, int]) -> Mapping[Shown, int]:
    """How many are to be seen as what: those that are paused as that, and not as in their state.

    Args:
        counts: How many are in each state.
        paused: How many of them are paused.
    """
    seen = {Shown(state.value): counts.get(state, 0) - paused.get(state, 0) for state in State}
    seen[Shown.PAUSED] = sum(paused.values())
    return {one: seen[one] for one in Shown if seen.get(one, 0) > 0}  # counted one after the other


def coming(row: ProcessRow) -> str | None:
    """The control that is under way: `pausing`, `killing`."""
    return None if row.intent is None else _COMING[row.intent]


def class_name(row: ProcessRow) -> str:
    """The class without its module."""
    return row.class_path.rpartition(":")[2]


def doing(row: ProcessRow, *, status: bool = True) -> str:
    """One phrase: the step it is in or before, its status, what it waits for; of one that has ended, whose
    outputs it has, if it did not run."""
    if row.terminated:
        return "" if row.options.cached_from is None else f"outputs of {row.options.cached_from} (cache)"
    said = row.status if status or (row.owner is not None and not row.paused) else None
    parts = [part for part in (row.step, progress_text(row), said) if part]
    if actual_state(row) is State.WAITING and row.awaiting:
        parts.append(_awaited(row))
    if row.waits_for_limits:
        names = row.options.limits
        parts.append(f"waits for limit{'s' if len(names) > 1 else ''} {', '.join(names)}")
    return " · ".join(parts)


def step_text(row: ProcessRow, wait: LimitWait | None) -> str:
    """What it does, or for which limit it waits behind how many."""
    if wait is None or not row.waits_for_limits:
        return doing(row, status=False)
    behind = f", behind {wait.ahead}" if wait.ahead else ", next"
    return " · ".join(part for part in (row.step, f"waits for limit {wait.name}{behind}") if part)


def progress_text(row: ProcessRow) -> str | None:
    """How far its step is: `12/40 (30 %) relaxing`."""
    if row.progress is None:
        return None
    done, total, text = row.progress.done, row.progress.total, row.progress.text
    share = f"/{total:.6g} ({100 * done / total:.0f} %)" if total else ""
    return f"{done:.6g}{share} {text}" if text else f"{done:.6g}{share}"


def _awaited(row: ProcessRow) -> str:
    if row.signals and row.awaiting == len(row.signals):
        first = "any of " if row.wait_any and row.awaiting > 1 else ""
        return f"waits for {first}signal {', '.join(dict.fromkeys(row.signals))}"
    if row.attempt and row.due:
        return f"failed {row.attempt} time{'s' if row.attempt > 1 else ''}, tried again"
    if row.due and row.awaiting == 1 and not row.wait_due:
        return "until its timer"
    return f"waits for {'any of ' if row.wait_any and row.awaiting > 1 else ''}{row.awaiting}"


def exit_words(row: ProcessRow) -> str:
    """Exit status, with its message on one line; empty if there is neither."""
    status = "" if row.exit_status is None else str(row.exit_status)
    return " ".join(part for part in (status, *(row.exit_message or "").split()) if part)
