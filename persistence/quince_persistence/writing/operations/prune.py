"""Deleting what has ended long ago: whole trees, with all that there is of them, or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, or_, select

from quince_persistence.reading.selecting import ENDED
from quince_persistence.records.pruning import Pruned, Spared
from quince_persistence.schema.in_list import one_of
from quince_persistence.schema.mutable_row import MutableRow
from quince_persistence.schema.tables import processes, refers, schedules
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.unit_of_work import Needs, UnitOfWork

p = processes
_referring = (
    select(refers.c.target, p.c.root)
    .join(p, p.c.pid == refers.c.pid)
    .where(one_of(refers.c.target, "pids"), or_(refers.c.always, p.c.state.not_in(ENDED)))
)
_scheduled = select(schedules.c.last_pid).where(one_of(schedules.c.last_pid, "pids"))


class Prune(Operation[Pruned]):
    """Delete trees, unless something that stays has to do with them."""

    alone = True

    def __init__(
        self, roots: Sequence[int], before: float, failed_before: float, *, gone: Iterable[int], dry: bool
    ) -> None:
        super().__init__()
        self._roots = frozenset(roots)
        self._before, self._failed_before = before, failed_before
        self._gone, self._dry = frozenset(gone), dry

    def need(self, needs: Needs) -> None:
        needs.families.update(self._roots)

    def apply(self, unit: UnitOfWork) -> Pruned:
        trees: dict[int, list[MutableRow]] = defaultdict(list)
        kept: dict[int, Spared] = {}
        for row in unit.family(sorted(self._roots)):
            if row.root in self._roots:
                trees[row.root].append(row)
            elif row.pid in self._roots:
                kept[row.pid] = Spared.CHILD
        for root, tree in list(trees.items()):
            if (why := self._why_kept(unit, root, tree)) is not None:
                kept[root] = why
                del trees[root]
        kept |= _spare(unit.connection, trees, self._gone)
        pids = [row.pid for tree in trees.values() for row in tree]
        if pids and not self._dry:
            unit.changes.pruned = pids
        return Pruned(roots=sorted(trees), pids=pids, kept=kept)

    def _why_kept(self, unit: UnitOfWork, root: int, tree: Sequence[MutableRow]) -> Spared | None:
        """What the tree says itself against its end."""
        if not all(row.terminated for row in tree):
            return Spared.LIVES
        well = unit.rows[root].ended_well
        before = self._before if well else self._failed_before
        if any(row.ended is None or row.ended > before for row in tree):
            return Spared.RECENT
        return Spared.AWAITED if any(unit.waiting_for(row.pid) for row in tree) else None


def _spare(
    connection: Connection, trees: dict[int, list[MutableRow]], gone: frozenset[int]
) -> Mapping[int, Spared]:
    """Take those out that something refers to that stays; and those to which they refer, and so on."""
    root_of = {row.pid: root for root, tree in trees.items() for row in tree}
    kept: dict[int, Spared] = {}
    pids = {"pids": sorted(root_of)}
    if root_of:
        kept |= {root_of[row[0]]: Spared.SCHEDULED for row in connection.execute(_scheduled, pids)}
        refer = [(root_of[target], by) for target, by in connection.execute(_referring, pids)]
        while spared := {
            root
            for root, by in refer
            if root not in kept and by not in gone and (by not in trees or by in kept)
        }:
            kept |= dict.fromkeys(spared, Spared.REFERRED)
    for root in kept:
        del trees[root]
    return kept
