"""Retrying: what has ended, and not well, goes on from its last step, with those that it waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from quince_persistence.codec import decode, fold
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.reading.selecting import matching_pids
from quince_persistence.records import OWN_QUEUE, ProcessRow, Selection, State
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.kept import read_pids, read_wait
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import processes, results, workers
from quince_persistence.writing.lifecycle import as_woken, enter
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.resuming import Standing, failed_below, standings, wait_again
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_errors = select(results.c.pid, results.c.error).where(one_of(results.c.pid, "pids"))
_workers = select(workers.c.id)
_move = update(processes).where(one_of(processes.c.pid, "pids")).values(queue=bindparam("new"))

MOST_TRACEBACK = 20_000
"""Characters of a traceback that the history keeps: its end."""


class RetryProcesses(Operation[Sequence[ControlOutcome]]):
    """Those of a selection that have ended, and not well, live again.

    Args:
        inputs: New inputs, for the one process that is named.
    """

    alone = True

    def __init__(
        self, selection: Selection, author: str, reason: str | None, *, inputs: bytes | None
    ) -> None:
        given: dict[str, bytes] = {}
        inputs = None if inputs is None else fold(inputs, given)
        super().__init__(len(inputs or b""), blobs=[inputs or b""], given=given)
        self._selection = selection
        self._author, self._reason, self._inputs = author, reason, inputs
        self._chosen: Sequence[int] = ()
        self._reached: set[int] = set()

    def find(self, unit: UnitOfWork) -> None:
        if self._selection == Selection(pids=self._selection.pids):
            self._chosen = tuple(dict.fromkeys(self._selection.pids))
        else:
            self._chosen = matching_pids(unit.connection, replace(self._selection, failed=True))
        found = failed_below(unit, self._chosen, locked=False)
        self._reached = set(found) | {one.parent for one in found.values() if one.parent is not None}

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._reached)

    def apply(self, unit: UnitOfWork) -> list[ControlOutcome]:
        found = failed_below(unit, self._chosen, locked=True)
        failed = {pid: one for pid, one in sorted(found.items()) if one.failed}
        errors = dict(map(tuple, fetch_bytes(unit.connection, _errors, {"pids": list(found)})))
        aside = [pid for pid in found if errors.get(pid) is not None and _is_put_aside(unit.rows[pid])]
        retried = [*failed, *aside]
        named = self._selection.pids or (() if retried else self._selection.trees)
        outcomes = [refusal(pid, unit.rows.get(pid)) for pid in dict.fromkeys(named) if pid not in retried]
        before = {pid: unit.rows[pid].frozen() for pid in retried}
        for pid in retried:
            self._revive(unit, unit.rows[pid], errors.get(pid))
        self._move(unit, retried)
        for pid, one in failed.items():
            wait_again(unit, unit.rows[pid], one.awaits, one.wait, self._author)
        for pid in aside:
            unit.change(unit.rows[pid])
        _have_parents_wait(unit, failed)
        outcomes += [_outcome(unit.rows[pid], before[pid]) for pid in retried]
        return sorted(outcomes, key=lambda outcome: outcome.pid)

    def answer(self, unit: UnitOfWork, outcome: list[ControlOutcome]) -> list[ControlOutcome]:
        granted = unit.grants.take()
        if not outcome or not granted:
            return outcome
        first, *others = outcome
        return [msgspec.structs.replace(first, woken=(*first.woken, *granted)), *others]

    def _revive(self, unit: UnitOfWork, row: MutableRow, error: bytes | None) -> None:
        """Forget how it has ended, or why it was put aside, but for a line of history."""
        unit.log(row.pid, "retry", msgspec.json.encode(self._story(row, error)), self._author)
        if row.paused or row.state == State.KILLED:
            row.status = None
        row.ended = row.exit_status = row.exit_message = row.progress = None
        row.deaths = row.deaths_alone = row.attempt = 0
        parent = None if row.parent is None else unit.rows.get(row.parent)
        row.paused = row.tree_paused = parent is not None and parent.tree_paused
        unit.changes.results[row.pid] = (None, None)
        if self._inputs is not None and row.pid == self._chosen[0]:
            unit.changes.inputs_replaced[row.pid] = self._inputs

    def _move(self, unit: UnitOfWork, pids: Sequence[int]) -> None:
        """What was for a worker alone that is gone is for all of them now."""
        alone = [row for pid in pids if (row := unit.rows[pid]).queue.startswith(OWN_QUEUE)]
        alive = set(unit.connection.execute(_workers).scalars()) if alone else set()
        moved = [row for row in alone if row.queue.removeprefix(OWN_QUEUE) not in alive]
        for row in moved:
            row.queue = "default"
        if moved:
            unit.connection.execute(_move, {"pids": [row.pid for row in moved], "new": "default"})

    def _story(self, row: MutableRow, error: bytes | None) -> Mapping[str, Any]:
        """What had become of it, for the history."""
        story: dict[str, Any] = {
            "state": row.state if row.terminated else "paused",
            "step": row.step,
            "exit_status": row.exit_status,
            "exit_message": row.exit_message,
            "traceback": None if error is None else _traceback(error),
            "reason": self._reason,
            "inputs": True if self._inputs is not None and row.pid == self._chosen[0] else None,
        }
        return {name: value for name, value in story.items() if value is not None}


def _have_parents_wait(unit: UnitOfWork, retried: Mapping[int, Standing]) -> None:
    """A parent that lives, and has waited for one of these, waits for it again. If a worker is in the step
    after that, the step goes on; but were it to begin anew, it would wait first."""
    parents = {one.parent for one in retried.values() if one.parent is not None}
    for parent in standings(unit.connection, parents.difference(retried)):
        row = unit.rows[parent.pid]
        awaited = [pid for pid in read_pids(parent.awaits) if pid in retried]
        how = read_wait(parent.wait)
        enough = how.wait_any or (how.wait_due and not row.awaiting)
        if row.terminated or not awaited or enough:
            continue
        for pid in awaited:
            unit.wait_for_also(row, pid)
        if row.state == State.RUNNING and row.owner is None:
            enter(unit, row, State.WAITING)
        unit.change(row)


def _outcome(row: MutableRow, before: ProcessRow) -> ControlOutcome:
    woken = (as_woken(row),) if row.ready else ()
    return ControlOutcome(row.pid, True, before, row.frozen(), applied=True, woken=woken)


def _is_put_aside(row: MutableRow) -> bool:
    """Its step has failed, and it was paused in place of being ended."""
    return not row.terminated and bool(row.paused) and row.owner is None


def refusal(pid: int, row: MutableRow | None) -> ControlOutcome:
    if row is None:
        return ControlOutcome(pid, False, None, None, applied=False, refused=f"there is no process {pid}")
    frozen = row.frozen()
    if row.terminated:
        why = f"process {pid} ended well: `quince restart {pid}` repeats it as a new process"
    elif row.paused:
        why = f"process {pid} is paused and has not ended: `quince play {pid}` lets it go on"
    else:
        why = f"process {pid} has not ended ({row.state}): there is nothing to retry"
    return ControlOutcome(pid, True, frozen, frozen, applied=False, refused=why)


def _traceback(error: bytes) -> str | None:
    try:
        story = decode(error)
        return str(story.get("traceback") or story.get("text") or "")[-MOST_TRACEBACK:] or None
    except Exception:  # nobody can read it any more
        return None
