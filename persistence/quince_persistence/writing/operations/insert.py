"""Inserting processes: submitted from outside, or as the children of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from quince_persistence.errors import PidTaken, UnknownProcess
from quince_persistence.records import NO_OPTIONS, NewProcess, State
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.writing.caching import look_up, serve
from quince_persistence.writing.contents import folded_process
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork


class Insert(Operation[Sequence[int]]):
    """Insert processes; one whose key is taken is answered with the pid that has it."""

    def __init__(self, processes: Sequence[NewProcess], contents: Mapping[str, bytes]) -> None:
        given = dict(contents)
        self._processes = tuple(folded_process(new, given) for new in processes)
        self._cached: Sequence[int] = ()
        blobs = [new.inputs for new in self._processes]
        super().__init__(sum(map(len, blobs)), blobs=blobs, given=given)

    def find(self, unit: UnitOfWork) -> None:
        self._cached = look_up(unit, self._processes)

    def need(self, needs: Needs) -> None:
        need_new(needs, self._processes)
        needs.pids.update(self._cached)

    def apply(self, unit: UnitOfWork) -> list[int]:
        check_new(unit, self._processes)
        return [self._insert(unit, new) for new in self._processes]

    def _insert(self, unit: UnitOfWork, new: NewProcess) -> int:
        if new.key is not None and new.key in unit.taken:
            return unit.taken[new.key]
        insert_new(unit, new, None if new.parent is None else unit.rows[new.parent])
        return new.pid


def need_new(needs: Needs, processes: Sequence[NewProcess]) -> None:
    """What must be read before these are inserted: their parents (whose flags they see) and keys."""
    for new in processes:
        if new.parent is not None:
            needs.pids.add(new.parent)
        if new.key is not None:
            needs.keys.add(new.key)
        needs.pids.update(_mentioned(new))  # locked, so that none of them is pruned meanwhile


def check_new(unit: UnitOfWork, processes: Sequence[NewProcess]) -> None:
    """Refuse what cannot be inserted, before anything is changed.

    Raises:
        UnknownProcess: a parent does not exist, and is not among them.
        PidTaken: a pid is there already.
    """
    coming: set[int] = set()
    for new in processes:
        if new.pid in coming or new.pid in unit.rows:
            raise PidTaken
        if new.parent is not None and new.parent not in coming and new.parent not in unit.rows:
            raise UnknownProcess(new.parent, f"so it cannot be the parent of process {new.pid}")
        coming.add(new.pid)


def insert_new(unit: UnitOfWork, new: NewProcess, parent: MutableRow | None) -> MutableRow:
    """Insert one process; under a paused tree it is born paused."""
    tree_paused = parent is not None and parent.tree_paused
    root = new.root if new.root is not None else (new.pid if parent is None else parent.root)
    row = MutableRow(
        pid=new.pid,
        parent=new.parent if parent is None else parent.pid,
        root=root,
        class_path=new.class_path,
        class_version=new.class_version,
        state=State.CREATED.value,
        paused=new.paused or tree_paused,
        ready=False,  # set by the unit, as `idle_since` is
        owner=None,
        epoch=0,
        queue=new.queue if parent is None or "queue" not in new.inherits else parent.queue,
        priority=new.priority if parent is None or "priority" not in new.inherits else parent.priority,
        key=new.key,
        created=unit.now,
        updated=unit.now,
        tree_paused=tree_paused,
        step=new.step,
        deadline=new.until if new.within is None else unit.now + new.within,
        options=None if new.options == NO_OPTIONS else msgspec.json.encode(new.options).decode(),
        granted=False if new.options.limits else None,
        fresh=True,
    )
    row.asked = None  # it stands nowhere yet
    origin = serve(unit, row, new)
    unit.insert(row, new.inputs)
    if new.options is not NO_OPTIONS:
        labels = new.options.labels.items()
        unit.changes.labels += [{"pid": new.pid, "name": name, "value": value} for name, value in labels]
    for target, always in _mentioned(new, origin).items():
        unit.changes.refers.append({"target": target, "pid": new.pid, "always": always})
    return row


def _mentioned(new: NewProcess, origin: int | None = None) -> dict[int, bool]:
    """Whom a process refers to, and whether that one is to stay as long as this one is there.

    Args:
        origin: The one whose outputs it has.
    """
    options = new.options
    mentioned = dict.fromkeys(new.refers, False)
    mentioned |= {pid: True for pid in (origin, options.restart_of, options.cached_from) if pid is not None}
    mentioned.pop(new.pid, None)
    return mentioned
