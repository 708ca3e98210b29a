"""Restarting: a new process that begins where another one stood, and shares what that one has got done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, select

from quince_persistence.codec import fold
from quince_persistence.databases.pipeline import fetch_bytes
from quince_persistence.errors import RecordRefused, UnknownProcess
from quince_persistence.records import OWN_QUEUE, NewProcess, ProcessOptions
from quince_persistence.records.controls import Restarted
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.kept import Kept, json_text, read_pids, read_replaced
from quince_persistence.schema.mutable_row import MutableRow, decode_options
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.schema.tables import checkpoints, inputs, past_checkpoints, refers, signals
from quince_persistence.writing.lifecycle import as_woken, ended_well
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.insert import insert_new
from quince_persistence.writing.operations.pids import AllocatePids
from quince_persistence.writing.resuming import Standing, failed_below, wait_again
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

_KEPT = Kept._fields
_newest = select(checkpoints.c.pid, *(checkpoints.c[name] for name in _KEPT)).where(
    one_of(checkpoints.c.pid, "pids")
)
_past = select(past_checkpoints.c.step, *(past_checkpoints.c[name] for name in _KEPT)).where(
    past_checkpoints.c.pid == bindparam("pid"), past_checkpoints.c.number == bindparam("number")
)
_inputs = select(inputs.c.pid, inputs.c.blob).where(one_of(inputs.c.pid, "pids"))
_refers = select(refers.c.pid, refers.c.target).where(one_of(refers.c.pid, "pids"), ~refers.c.always)
_signals = (
    select(signals.c.pid, signals.c.name, signals.c.blob, signals.c.author)
    .where(one_of(signals.c.pid, "pids"))
    .order_by(signals.c.seq)
)


class _Origin(NamedTuple):
    """Where a new process begins: before which step (None: the first), and from what checkpoint."""

    step: str | None = None
    kept: Kept = Kept(b"")


class RestartProcess(Operation[Restarted]):
    """A new process from a checkpoint of another one; those that it would wait for in vain are made anew.

    Args:
        number: Of a past checkpoint; 0: from the beginning; None: from the newest.
        inputs: Those of the new process; None: those of the old one.
    """

    alone = True

    def __init__(
        self,
        pid: int,
        author: str,
        reason: str | None,
        *,
        number: int | None,
        inputs: bytes | None,
    ) -> None:
        given: dict[str, bytes] = {}
        inputs = None if inputs is None else fold(inputs, given)
        super().__init__(len(inputs or b""), blobs=[inputs or b""], given=given)
        self._pid, self._number = pid, number
        self._author, self._reason = author, reason
        self._inputs = inputs
        self._reached: set[int] = set()

    def find(self, unit: UnitOfWork) -> None:
        awaited = read_pids(self._origin(unit).kept.awaits)
        self._reached = {self._pid, *failed_below(unit, awaited, locked=False)}

    def need(self, needs: Needs) -> None:
        needs.pids.update(self._reached)

    def apply(self, unit: UnitOfWork) -> Restarted:
        old = unit.rows.get(self._pid)
        if old is None:
            raise UnknownProcess(self._pid, "so it cannot be begun anew")
        origin = self._origin(unit)
        well = old.terminated and ended_well(old.state, old.exit_status)
        if self._number is None and well:
            raise RecordRefused(f"process {self._pid} ended well, and has no newest checkpoint any more")
        found = failed_below(unit, read_pids(origin.kept.awaits), locked=True)
        work = _Repeating(unit, found, self._pid)
        if self._inputs is not None:
            work.inputs[self._pid] = self._inputs
        if self._number is not None:
            work.signals.pop(self._pid, None)
        new = work.repeat(old, origin, None, self._author)
        for pid, row in work.made.items():
            step = origin.step if pid == self._pid else unit.rows[pid].step
            story = {"of": pid, "step": step, "reason": self._reason}
            unit.log(row.pid, "restart", _body(story), self._author)
            unit.log(
                pid, "restart", _body({"as": row.pid, "step": step, "reason": self._reason}), self._author
            )
        made = [row.frozen() for row in work.made.values()]
        shared = [pid for pid in read_pids(origin.kept.awaits) if pid in found and pid not in work.made]
        return Restarted(new.pid, origin.step, made, shared)

    def answer(self, unit: UnitOfWork, outcome: Restarted) -> Restarted:
        made = [unit.rows[row.pid] for row in outcome.made]
        woken = {row.pid: as_woken(row) for row in made if row.ready}
        woken |= {one.pid: one for one in unit.grants.take()}
        frozen = tuple(row.frozen() for row in made)
        return msgspec.structs.replace(outcome, made=frozen, woken=tuple(woken.values()))

    def _origin(self, unit: UnitOfWork) -> _Origin:
        if self._number is None:
            found = fetch_bytes(unit.connection, _newest, {"pids": [self._pid]})
            row = unit.rows.get(self._pid)
            return _Origin(None if row is None else row.step, Kept(*found[0][1:])) if found else _Origin()
        if self._number == 0:
            return _Origin()
        found = fetch_bytes(unit.connection, _past, {"pid": self._pid, "number": self._number})
        if not found:
            raise RecordRefused(f"process {self._pid} has no checkpoint {self._number}")
        return _Origin(found[0][0], Kept(*found[0][1:]))


class _Repeating:
    """The new processes of one restart.

    Attributes:
        made: They, by the pids of those that they repeat.
    """

    def __init__(self, unit: UnitOfWork, found: Mapping[int, Standing], top: int) -> None:
        self.made: dict[int, MutableRow] = {}
        self._unit = unit
        self._failed = {pid for pid, one in found.items() if one.failed}
        pids = {"pids": sorted({top, *self._failed})}
        self._fresh: Iterator[int] = iter(AllocatePids(len(pids["pids"])).apply(unit))
        self._kept = {row[0]: Kept(*row[1:]) for row in fetch_bytes(unit.connection, _newest, pids)}
        self.inputs = dict(map(tuple, fetch_bytes(unit.connection, _inputs, pids)))
        self.refers: dict[int, list[int]] = {}
        for pid, target in unit.connection.execute(_refers, pids):
            self.refers.setdefault(pid, []).append(target)
        self.signals: dict[int, list[Any]] = {}
        for row in fetch_bytes(unit.connection, _signals, pids):
            self.signals.setdefault(row[0], []).append(row)

    def repeat(self, old: MutableRow, origin: _Origin, parent: MutableRow | None, author: str) -> MutableRow:
        """A new process that begins there, with new ones in the place of those that it would wait for."""
        unit, kept = self._unit, origin.kept
        new = insert_new(unit, self._new(old, parent), parent)
        self.made[old.pid] = new
        new.step = origin.step
        replaced: dict[int, int] = {}
        for pid in read_pids(kept.awaits):
            if pid in self._failed:
                if pid not in self.made:
                    child = unit.rows[pid]
                    before = _Origin(child.step, self._kept[pid]) if pid in self._kept else _Origin()
                    self.repeat(child, before, new, author)
                replaced[pid] = self.made[pid].pid
        if kept.blob:
            earlier = read_replaced(kept.replaced)
            both = {pid: replaced.get(now, now) for pid, now in earlier.items()} | replaced
            awaits = [replaced.get(pid, pid) for pid in read_pids(kept.awaits)]
            kept = Kept(kept.blob, json_text(awaits), json_text(both), kept.wait)
            unit.changes.checkpoints[new.pid] = kept
        self._copy_signals(old.pid, new)
        wait_again(unit, new, kept.awaits, kept.wait, author)
        return new

    def _new(self, old: MutableRow, parent: MutableRow | None) -> NewProcess:
        options = ProcessOptions() if old.options is None else decode_options(old.options)
        return NewProcess(
            next(self._fresh),
            old.class_path,
            self.inputs[old.pid],
            parent=None if parent is None else parent.pid,
            class_version=old.class_version,
            queue="default" if old.queue.startswith(OWN_QUEUE) else old.queue,
            priority=old.priority,
            refers=self.refers.get(old.pid, ()),
            options=msgspec.structs.replace(options, restart_of=old.pid, cached_from=None, cache_key=None),
        )

    def _copy_signals(self, pid: int, new: MutableRow) -> None:
        state = SignalState()
        for _, name, blob, author in self.signals.get(pid, ()):
            state.put(name)
            sent = {"pid": new.pid, "name": name, "blob": blob, "author": author, "at": self._unit.now}
            self._unit.changes.signals.append(sent)
        new.signals = state.text()


def _body(story: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in story.items() if value is not None})
