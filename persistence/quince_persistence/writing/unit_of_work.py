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
from typing import Any

from sqlalchemy import BigInteger, CompoundSelect, Connection, Select, cast, null, select

from quince_persistence.databases.pipeline import fetch, fetch_bytes
from quince_persistence.reading.selecting import BLOBS, family
from quince_persistence.records import Control
from quince_persistence.schema.in_list import among, each_of, one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import awaits, processes
from quince_persistence.writing.changes import Changes


def _locked(pids: Select[Any] | CompoundSelect[Any]) -> Select[Any]:
    """The rows of these, locked in the one order of all writers."""
    return live_rows().where(among(processes.c.pid, pids)).order_by(processes.c.pid).with_for_update()


_given = select(each_of("pids").c.value)
_awaiting = select(awaits.c.pid, awaits.c.child).where(one_of(awaits.c.child, "children"))
_by_key = select(processes.c.key, processes.c.pid).where(one_of(processes.c.key, "keys"))

_family_pids = select(family.c.pid)
_await_family = among(awaits.c.child, _family_pids)
_relatives = select(family.c.pid, cast(null(), BigInteger)).union_all(
    select(awaits.c.child, awaits.c.pid).where(_await_family)
)

_lock_rows = live_rows().where(one_of(processes.c.pid, "pids")).order_by(processes.c.pid).with_for_update()
_await_children = select(awaits.c.pid).where(one_of(awaits.c.child, "children"))
_lock_awaiting = _locked(_given.union(_await_children))
_lock_relatives = _locked(
    _given.union(_await_children, _family_pids, select(awaits.c.pid).where(_await_family))
)


@dataclass(slots=True)
class Needs:
    """What the operations of a group want read before they are applied.

    Attributes:
        pids: Rows to lock.
        ending: Processes that end: those that await them are locked too.
        families: Processes whose descendants are locked too.
        keys: Keys that are about to be taken.
    """

    pids: set[int] = field(default_factory=set)
    ending: set[int] = field(default_factory=set)
    families: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


class UnitOfWork:
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
        self.rows: dict[int, MutableRow] = {}
        self.taken: dict[str, int] = {}
        self.changes = Changes()
        self.wanted_blobs: set[int] = set()
        self._waiting_for: dict[int, set[int]] = {}
        self._complete: set[int] = set()  # every descendant of these is locked, and no more can come
        self._blobs: dict[tuple[int, int], bytes] | None = None  # 0: inputs, 1: checkpoint
        self._added: dict[int, set[int]] = defaultdict(set)

    # Reading

    def load(self, needs: Needs) -> None:
        """Read and lock all that is needed, in one order, so that two writers cannot dead-lock.

        What is related to what is looked up by the statement that locks it, and once more when it is
        locked: it may have grown until then, and no more after.
        """
        pids, ending, families = sorted(needs.pids), sorted(needs.ending), needs.families - self._complete
        if families:
            tops = {"tops": sorted(families)}
            rows, relatives = fetch(
                self.connection,
                (_lock_relatives, {"pids": pids, "children": ending, **tops}),
                (_relatives, tops),
            )
            self._add(rows)
            self._read_family(tops["tops"], relatives)
            self._read_awaiting(set(ending) - self._waiting_for.keys())
        elif ending:
            awaited = {"children": ending}
            rows, awaiting = fetch(
                self.connection, (_lock_awaiting, {"pids": pids, **awaited}), (_awaiting, awaited)
            )
            self._add(rows)
            self._read_awaiting(ending, awaiting)
        else:
            self.lock(pids)
        self.family([row.pid for row in self.rows.values() if row.intent == Control.KILL])  # a release kills
        if needs.keys:
            found = self.connection.execute(_by_key, {"keys": sorted(needs.keys)})
            self.taken.update((key, pid) for key, pid in found)

    def lock(self, pids: Iterable[int]) -> None:
        """Read and lock rows that this unit has not read yet."""
        missing = [pid for pid in pids if pid not in self.rows]
        if missing:
            missing.sort()
            self._add(self.connection.execute(_lock_rows, {"pids": missing}).all())

    def _add(self, rows: Sequence[Any]) -> None:
        for row in rows:
            if row[0] not in self.rows:
                self.rows[row[0]] = MutableRow(*row)

    def family(self, pids: Sequence[int]) -> list[MutableRow]:
        """These processes and all their descendants, and who awaits any of them, locked; by pid.

        Asked again after each lock: a child that was committed in between is then seen, and no more
        can come, since a new child, and who begins to await one, needs its lock (see `_read_awaiting`).
        """
        if not self._complete.issuperset(pids):
            self._read_family(sorted(pids))
        return [self.rows[pid] for pid in sorted(self._descendants(pids))]

    def _read_family(self, pids: Sequence[int], found: Sequence[Any] | None = None) -> None:
        """Read these with all their relatives until every one of them is locked.

        Args:
            found: What the first look found.
        """
        while True:
            if found is None:
                found = self.connection.execute(_relatives, {"tops": pids}).all()
            waiting_for: dict[int, set[int]] = {pid: set() for pid, _ in found}
            for pid, parent in found:
                if parent is not None:
                    waiting_for[pid].add(parent)
            relatives = set(waiting_for).union(*waiting_for.values())
            if relatives.issubset(self.rows):
                break
            self.lock(relatives)
            found = None
        self._complete.update(waiting_for)
        self._waiting_for = waiting_for | self._waiting_for  # what this unit knows, it may have changed

    def _descendants(self, pids: Sequence[int]) -> set[int]:
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

    def waiting_for(self, pid: int) -> list[MutableRow]:
        """The processes that await this one, locked."""
        if pid not in self._waiting_for:
            self._read_awaiting([pid])
        parents = self._waiting_for[pid] - self.changes.awaits_cleared | self._added[pid]
        return [self.rows[parent] for parent in sorted(parents)]

    def expect_endings(self, pids: Sequence[int]) -> None:
        """Read who awaits these, all in one statement (each would be read by itself otherwise)."""
        missing = [pid for pid in pids if pid not in self._waiting_for]
        if missing:
            self._read_awaiting(missing)

    def _read_awaiting(self, pids: Iterable[int], found: Sequence[Any] | None = None) -> None:
        """Read who awaits these until every one of them is locked.

        The row of a child is locked by any process that starts to await it, so once the child is locked the
        list cannot grow; but it may have grown before.

        Args:
            found: What the first look found.
        """
        children = sorted(pids)
        while children:
            if found is None:
                found = self.connection.execute(_awaiting, {"children": children}).all()
            self._waiting_for.update((pid, set()) for pid in children)
            for parent, child in found:
                self._waiting_for[child].add(parent)
            parents = {parent for parent, _ in found}
            if parents.issubset(self.rows):
                return
            self.lock(parents)
            found = None

    def blobs(self, pid: int) -> tuple[bytes, bytes | None]:
        """Inputs and checkpoint, as they will be when all changes are written."""
        if self._blobs is None:
            found = fetch_bytes(self.connection, BLOBS, {"pids": sorted(self.wanted_blobs)})
            self._blobs = {(pid, number): blob for pid, number, blob in found}
            self._blobs.update(((inserted["pid"], 0), inserted["blob"]) for inserted in self.changes.inputs)
        checkpoint = self.changes.checkpoints.get(pid, self._blobs.get((pid, 1)))
        return self._blobs[pid, 0], checkpoint

    # Changing

    def change(self, row: MutableRow) -> None:
        """The row has been changed: set what follows from it, and write it at the end."""
        row.updated = self.now
        row.refresh(self.now)
        if not row.fresh:
            self.changes.rows[row.pid] = row

    def insert(self, row: MutableRow, inputs: bytes) -> None:
        row.refresh(self.now)
        self.rows[row.pid] = row
        self.changes.inserted[row.pid] = row
        self.changes.inputs.append({"pid": row.pid, "blob": inputs})
        if row.key is not None:
            self.taken[row.key] = row.pid

    def wait_for(self, row: MutableRow, children: Sequence[int]) -> None:
        """The process awaits these, which live."""
        self.changes.awaits[row.pid] = set(children)
        for child in children:
            self._added[child].add(row.pid)

    def wait_for_nothing(self, row: MutableRow) -> None:
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
