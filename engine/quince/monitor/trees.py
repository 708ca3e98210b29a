"""A process with those below it, as far as is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quince.monitor.rows import Row
from quince.monitor.words import Shown, shown
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, State, Tally

MOST_TALLIED = 20_000
"""Children of one process that are counted by what they are."""
AT_ONCE = 5_000
"""Processes whose children are read together."""
_ENDED = (Shown.FINISHED, Shown.FAILED, Shown.EXCEPTED, Shown.KILLED)


@dataclass(frozen=True, slots=True)
class Node:
    """A process in its tree. Iterating gives it and all below it that are there, parents before children.

    Attributes:
        row: The process.
        depth: 0 for the top of what was asked for.
        waits_for: pids of the processes whose ends it waits for.
        children: Those that were read, by pid.
        child_count: How many it has; more than `children` if not all were read.
        tally: How many of its children are what; empty also if it has too many to be counted so (20,000).
    """

    row: Row
    depth: int
    waits_for: Sequence[int] = ()
    children: Sequence[Node] = field(default=(), repr=False, compare=False)
    child_count: int = 0
    tally: Mapping[Shown, int] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return self.row.pid

    @property
    def hidden(self) -> int:
        """How many of its children were not read: `Monitor.tree` of this pid has them."""
        return max(0, self.child_count - len(self.children))

    @property
    def ended(self) -> int:
        """How many of its children have ended."""
        return sum(self.tally.get(one, 0) for one in _ENDED)

    def __iter__(self) -> Iterator[Node]:
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def levels(store: StoreContract, top: ProcessRow, depth: int | None, limit: int) -> list[ProcessRow]:
    """A process and those below it, level by level, parents before children; at most so many."""
    found, level = [top], [top.pid]
    while level and len(found) < limit and (depth is None or depth > 0):
        below: list[ProcessRow] = []
        for start in range(0, len(level), AT_ONCE):
            room = limit - len(found) - len(below)
            if room > 0:
                below += store.children(level[start : start + AT_ONCE], most=room)
        found += below
        level = [row.pid for row in below]
        depth = None if depth is None else depth - 1
    return found


def read_tree(
    store: StoreContract,
    top: ProcessRow,
    depth: int | None,
    limit: int,
    rows: Callable[[Sequence[ProcessRow]], Sequence[Row]],
) -> Node:
    """The tree below a process.

    Args:
        rows: Makes rows to be seen of those of the store.
    """
    found = levels(store, top, depth, limit)
    pids = [row.pid for row in found]
    counts = store.child_counts(pids)
    there = Counter(row.parent for row in found[1:])
    partly = [pid for pid, count in counts.items() if there[pid] < count <= MOST_TALLIED]
    tallies = {pid: _tally(one) for pid, one in store.tallies(partly).items()} if partly else {}
    return _grown(rows(found), counts, tallies, store.awaited_by(pids))


def _tally(alike: Sequence[Tally]) -> Mapping[Shown, int]:
    counts: Counter[Shown] = Counter()
    for one in alike:
        counts[_shown(one)] += one.count
    return dict(counts)


def _shown(one: Tally) -> Shown:
    if one.paused:
        return Shown.PAUSED
    if one.failed and one.state is State.FINISHED:
        return Shown.FAILED
    return Shown(one.state.value)


def _grown(
    rows: Sequence[Row],
    counts: Mapping[int, int],
    tallies: Mapping[int, Mapping[Shown, int]],
    awaited: Mapping[int, Sequence[int]],
) -> Node:
    """The nodes, from below."""
    top, depths = rows[0].pid, {rows[0].pid: 0}
    for row in rows[1:]:
        depths[row.pid] = depths[row.parent or 0] + 1
    below: dict[int, list[Node]] = defaultdict(list)
    for row in reversed(rows):
        children = below[row.pid][::-1]
        count = max(counts.get(row.pid, 0), len(children))
        tally = tallies.get(row.pid)
        if tally is None and len(children) == count:
            tally = dict(Counter(shown(child.row.row) for child in children))
        node = Node(row, depths[row.pid], awaited.get(row.pid, ()), children, count, tally or {})
        if row.pid == top:
            return node
        below[row.parent or 0].append(node)
    raise AssertionError("the top is the first row")
