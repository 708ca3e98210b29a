"""The unit of work: what one transaction has read, changed in memory, and will write.

A group of operations shares one unit. All rows they need are read (and on PostgreSQL locked, in
ascending order of pid) in a few statements; the operations are then applied one after the other to
the rows in memory, as if each had its own transaction; what has changed is written in a few
`executemany`. So the cost of a statement is shared, and the order between operations is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    Select,
    bindparam,
    cast,
    literal_column,
    null,
    select,
)

from quince_persistence.databases.pipeline import fetch, fetch_bytes
from quince_persistence.errors import RecordRefused
from quince_persistence.reading.selecting import BLOBS, family
from quince_persistence.reading.sound_parts import SoundParts
from quince_persistence.reading.whole_values import CONTENTS, Parts
from quince_persistence.records import Control
from quince_persistence.schema.in_list import among, each_of, one_of
from quince_persistence.schema.mutable_row import MutableRow, live_rows
from quince_persistence.schema.tables import awaits, processes
from quince_persistence.writing.changes import Changes
from quince_persistence.writing.contents import damaged
from quince_persistence.writing.contents import there as parts_there
from quince_persistence.writing.granting import Grants
from quince_persistence.writing.happenings import Happenings


def _locked(pids: Select[Any] | CompoundSelect[Any]) -> Select[Any]:
    """The rows of these, locked in the one order of all writers."""
    return live_rows().where(among(processes.c.pid, pids)).order_by(processes.c.pid).with_for_update()


_given = select(each_of("pids").c.value)
_awaiting = select(awaits.c.pid, awaits.c.child).where(one_of(awaits.c.child, "children"))
_by_key = select(processes.c.key, processes.c.pid).where(one_of(processes.c.key, "keys"))

# As in the index, which is empty where nobody asks for a priority.
_any_urgent = (
    select(processes.c.pid)
    .where(
        processes.c.queue == bindparam("queue"),
        processes.c.idle_since > 0,
        literal_column("processes.priority") > literal_column("0"),
    )
    .limit(1)
)

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
        parts: Digests of large parts that values refer to.
        given: Large parts that come with values, by digest.
    """

    pids: set[int] = field(default_factory=set)
    ending: set[int] = field(default_factory=set)
    families: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    given: dict[str, bytes] = field(default_factory=dict)


class UnitOfWork:
    """What one transaction has read and will write. Used by the writer thread only.

    Attributes:
        now: The time of the transaction, by the one clock of the store.
        rows: Every row that was read, by pid.
        taken: pids by key, for the keys asked for.
        claiming: How many are to be claimed.
        wanted_blobs: Whose inputs and checkpoints will be asked for with `blobs`.
        grants: Who asks for limits, and is given some.
        parts_there: Of the large parts asked for, those that the store has.
        parts_damaged: Those of them that are not what they should be.
        parts_given: Those that operations have brought.
        sound_parts: Those that need not be looked at.
        cached: pids of those that have what is wanted, by the keys of the cache.
        cached_outputs: Their outputs, once they were read.
        happenings: Of what somebody may want to be told.
    """

    def __init__(self, connection: Connection, now: float, sound_parts: SoundParts) -> None:
        self.connection = connection
        self.now = now
        self.rows: dict[int, MutableRow] = {}
        self.taken: dict[str, int] = {}
        self.changes = Changes()
        self.grants = Grants(self)
        self.wanted_blobs: set[int] = set()
        self.parts_there: set[str] = set()
        self.parts_damaged: set[str] = set()
        self.parts_given: dict[str, bytes] = {}
        self.sound_parts = sound_parts
        self.claiming = 0
        self.cached: dict[str, int] = {}
        self.cached_outputs: Mapping[int, bytes] | None = None
        self.happenings = Happenings(now)
        self._waiting_for: dict[int, set[int]] = {}
        self._complete: set[int] = set()  # every descendant of these is locked, and no more can come
        self._blobs: dict[tuple[int, int], bytes] | None = None  # 0: inputs, 1: checkpoint
        self._added: dict[int, set[int]] = defaultdict(set)
        self._urgent: dict[str, bool] = {}

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
        if needs.parts:  # the last locks of all
            self.parts_there = parts_there(self.connection, needs.parts)
            given = {digest: needs.given[digest] for digest in self.parts_there & needs.given.keys()}
            self.parts_damaged = set(damaged(self.connection, given, self.sound_parts))

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

    def take_parts(self, wanted: Set[str], given: Mapping[str, bytes]) -> None:
        """Take in large parts of values that an operation writes.

        Raises:
            RecordRefused: one is neither given nor in the store.
        """
        for digest in wanted - self.parts_there - self.parts_given.keys():
            if digest not in given:
                raise RecordRefused(
                    f"a large part of a value is not there ({digest[:12]}): hand it in with the value"
                )
            self.parts_given[digest] = given[digest]
        for digest in wanted & self.parts_damaged & given.keys():
            self.parts_given[digest] = given[digest]

    def blobs(self, pid: int) -> tuple[bytes, bytes | None]:
        """Inputs and checkpoint, as they will be when all changes are written."""
        if self._blobs is None:
            self._blobs = self._read_blobs()
        return self._blobs[pid, 0], self._blobs.get((pid, 1))

    def _read_blobs(self) -> dict[tuple[int, int], bytes]:
        found = fetch_bytes(self.connection, BLOBS, {"pids": sorted(self.wanted_blobs)})
        blobs: dict[tuple[int, int], bytes] = {(pid, number): blob for pid, number, blob in found}
        blobs |= {(new["pid"], 0): new["blob"] for new in self.changes.inputs}
        for pid in self.wanted_blobs & self.changes.checkpoints.keys():
            new = self.changes.checkpoints[pid]
            blobs |= {(pid, 1): new[0]} if new is not None else {}
        blobs |= {(pid, 1): blob for pid, blob in self.changes.revised.items()}
        parts = self.stored_parts()
        parts.read_for(blob for (pid, _), blob in blobs.items() if pid in self.wanted_blobs)
        return {key: parts.whole(blob) for key, blob in blobs.items()}

    def stored_parts(self) -> Parts:
        """Large parts of values, as they will be."""
        return Parts(
            lambda digests: fetch_bytes(self.connection, CONTENTS, {"digests": digests}),
            self.sound_parts,
            self.parts_given,
        )

    def has_urgent(self, queue: str) -> bool:
        """Whether any process asks for a priority in this queue and is ready; looked up once."""
        if queue not in self._urgent:
            self._urgent[queue] = self.connection.execute(_any_urgent, {"queue": queue}).first() is not None
        return self._urgent[queue]

    # Changing

    def change(self, row: MutableRow) -> None:
        """The row has been changed: set what follows from it, and write it at the end."""
        row.updated = self.now
        if row.granted is not None:
            self.grants.note(row)
        row.refresh(self.now)
        if not row.fresh:
            self.changes.rows[row.pid] = row

    def note(self, row: MutableRow) -> None:
        """The row says more than before, and stands as it did."""
        if not row.fresh:
            self.changes.rows[row.pid] = row

    def insert(self, row: MutableRow, inputs: bytes) -> None:
        row.refresh(self.now)
        if row.granted is not None:
            self.grants.note(row)
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

    def wait_for_also(self, row: MutableRow, child: int) -> None:
        """The process awaits this one, which lives, besides what it awaits already."""
        self.changes.awaits.setdefault(row.pid, set()).add(child)
        self._added[child].add(row.pid)
        row.awaiting += 1

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
