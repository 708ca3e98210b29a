"""The unit of work: what one transaction has read, changed in memory, and will write.

A group of operations shares one unit. All rows they need are read (and on PostgreSQL locked, in
ascending order of pid) in a few statements; the operations are then applied one after the other to
the rows in memory, as if each had its own transaction; what has changed is written in a few
`executemany`. So the cost of a statement is shared, and the order between operations is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from persistence.changes import Changes
from persistence.live import Live, live_rows
from persistence.membership import one_of
from persistence.tables import awaits, checkpoints, inputs, processes

_lock_rows = live_rows().where(one_of(processes.c.pid, "pids")).order_by(processes.c.pid).with_for_update()
_awaiting = select(awaits.c.pid, awaits.c.child).where(one_of(awaits.c.child, "children"))
_by_key = select(processes.c.key, processes.c.pid).where(one_of(processes.c.key, "keys"))

_tops = select(processes.c.pid).where(one_of(processes.c.pid, "pids")).cte("family", recursive=True)
_family = _tops.union(select(processes.c.pid).join(_tops, processes.c.parent == _tops.c.pid))
_family_pids = select(_family.c.pid)

_blobs = (
    select(inputs.c.pid, inputs.c.blob, checkpoints.c.blob)
    .select_from(inputs.outerjoin(checkpoints, checkpoints.c.pid == inputs.c.pid))
    .where(one_of(inputs.c.pid, "pids"))
)


@dataclass(slots=True)
class Needs:
    """What the operations of a group want read before they are applied.

    Attributes:
        pids: Rows to lock.
        ending: Processes that end: whoever awaits them is locked too.
        families: Processes whose descendants are locked too.
        keys: Keys that are about to be taken.
    """

    pids: set[int] = field(default_factory=set)
    ending: set[int] = field(default_factory=set)
    families: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


class Unit:
    """What one transaction has read and will write. Used by the writer thread only.

    Attributes:
        now: The time of the transaction, by the one clock of the store.
        rows: Every row that was read, by pid.
        taken: pids by key, for the keys asked for.
        wanted_blobs: Whose inputs and checkpoints will be asked for with `blobs`.
    """

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self.now = now
        self.rows: dict[int, Live] = {}
        self.taken: dict[str, int] = {}
        self.changes = Changes()
        self.wanted_blobs: set[int] = set()
        self._shared = connection.dialect.name != "sqlite"  # SQLite has one writer at a time
        self._waiting_for: dict[int, set[int]] = {}
        self._whole: set[int] = set()  # every descendant of these is locked, and no more can come
        self._blobs: dict[int, tuple[bytes, bytes | None]] | None = None
        self._added: dict[int, set[int]] = defaultdict(set)

    # Reading

    def load(self, needs: Needs) -> None:
        """Read and lock all that is needed, in one order, so that two writers cannot dead-lock."""
        pids = set(needs.pids)
        if needs.ending:
            self._read_awaiting(needs.ending)
            pids.update(*(self._waiting_for[pid] for pid in needs.ending))
        if not self._whole.issuperset(needs.families):
            pids.update(self._family_pids(needs.families))
        self.lock(pids)
        if needs.ending and self._shared:
            self._settle_awaiting(needs.ending)
        if needs.keys:
            found = self.connection.execute(_by_key, {"keys": sorted(needs.keys)})
            self.taken.update((key, pid) for key, pid in found)

    def lock(self, pids: Iterable[int]) -> None:
        """Read and lock rows that this unit has not read yet."""
        missing = [pid for pid in pids if pid not in self.rows]
        if missing:
            missing.sort()
            for row in self.connection.execute(_lock_rows, {"pids": missing}).all():
                self.rows[row[0]] = Live(*row)

    def family(self, pids: Sequence[int]) -> list[Live]:
        """These processes and all their descendants, locked, by pid.

        Asked again after each lock: a child that was committed in between is then seen, and no more
        can come, since a new child needs the lock of its parent.
        """
        if not self._whole.issuperset(pids):
            while not (found := self._family_pids(pids)).issubset(self.rows):
                self.lock(found)
            self._whole |= found
        return [self.rows[pid] for pid in sorted(self._below(pids))]

    def _below(self, pids: Sequence[int]) -> set[int]:
        """Those of these that there are, and all their descendants, as far as they were read or born."""
        children: dict[int, list[int]] = defaultdict(list)
        for row in self.rows.values():
            if row.parent is not None:
                children[row.parent].append(row.pid)
        family = {pid for pid in pids if pid in self.rows}
        todo = list(family)
        for pid in todo:
            fresh = [child for child in children.get(pid, ()) if child not in family]
            family.update(fresh)
            todo += fresh
        return family

    def waiting_for(self, pid: int) -> list[Live]:
        """The processes that await this one, locked."""
        if pid not in self._waiting_for:
            self._settle_awaiting([pid])
        parents = self._waiting_for[pid] - self.changes.awaits_cleared | self._added[pid]
        return [self.rows[parent] for parent in sorted(parents)]

    def expect_endings(self, pids: Sequence[int]) -> None:
        """Read who awaits these, all in one statement (each would be read by itself otherwise)."""
        missing = [pid for pid in pids if pid not in self._waiting_for]
        if missing:
            self._settle_awaiting(missing)

    def _read_awaiting(self, pids: Iterable[int]) -> None:
        ordered = sorted(pids)
        self._waiting_for.update((pid, set()) for pid in ordered)
        for parent, child in self.connection.execute(_awaiting, {"children": ordered}):
            self._waiting_for[child].add(parent)

    def _settle_awaiting(self, pids: Iterable[int]) -> None:
        """Read who awaits these until every one of them is locked.

        The row of a child is locked by whoever starts to await it, so once the child is locked the
        list cannot grow; but it may have grown before.
        """
        pids = list(pids)
        while True:
            self._read_awaiting(pids)
            parents: set[int] = set().union(*(self._waiting_for[pid] for pid in pids))
            if parents.issubset(self.rows):
                return
            self.lock(parents)

    def _family_pids(self, pids: Iterable[int]) -> set[int]:
        return {row[0] for row in self.connection.execute(_family_pids, {"pids": sorted(pids)}).all()}

    def blobs(self, pid: int) -> tuple[bytes, bytes | None]:
        """Inputs and checkpoint, after all changes were written."""
        if self._blobs is None:
            found = self.connection.execute(_blobs, {"pids": sorted(self.wanted_blobs)})
            self._blobs = {row[0]: (row[1], row[2]) for row in found}
        return self._blobs[pid]

    # Changing

    def change(self, row: Live) -> None:
        """The row has been changed: set what follows from it, and write it at the end."""
        row.updated = self.now
        row.refresh(self.now)
        if not row.fresh:
            self.changes.rows[row.pid] = row

    def insert(self, row: Live, inputs: bytes) -> None:
        row.refresh(self.now)
        self.rows[row.pid] = row
        self.changes.born[row.pid] = row
        self.changes.inputs.append({"pid": row.pid, "blob": inputs})
        if row.key is not None:
            self.taken[row.key] = row.pid

    def await_(self, row: Live, children: Sequence[int]) -> None:
        """The process awaits these, which live."""
        self.changes.awaits[row.pid] = set(children)
        for child in children:
            self._added[child].add(row.pid)

    def await_nothing(self, row: Live) -> None:
        """Forget all that the process awaits."""
        self.changes.awaits_cleared.add(row.pid)
        for child in self.changes.awaits.pop(row.pid, ()):
            self._added[child].discard(row.pid)

    def ended(self, pid: int) -> None:
        """Nobody awaits the process any more: it has ended and they were counted down."""
        if self._waiting_for.get(pid, True):
            self.changes.awaits_over.add(pid)
        self._waiting_for[pid] = set()
        for parent in self._added.pop(pid, ()):
            self.changes.awaits[parent].discard(pid)

    def log(self, pid: int, kind: str, body: bytes, author: str | None = None) -> None:
        """One line of history; `body` is JSON."""
        self.changes.events.append(
            {"pid": pid, "at": self.now, "kind": kind, "body": body.decode(), "author": author}
        )
