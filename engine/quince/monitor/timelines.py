"""The timeline of a tree: which process was what, when and where; and the critical path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quince.monitor.history import Bar, Doing
from quince.monitor.rows import Row
from quince.monitor.spent import bars_of
from quince_persistence.records import EventRow


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each process of a tree was what.

    Attributes:
        start, end: Of all of it, in seconds since the epoch; `end` is now if something lives.
        rows: The processes, parents before children.
        bars: Of all of them, each process's in their order.
        critical: pids of the processes that the tree has spent its time with, in the order of that: what has
            ended last, what that had waited for last, and so on. Their `critical` bars follow one another
            from the start to the end; were one of them shorter, the tree would have ended sooner.
        hidden: How many processes of the tree are not in it, at least, since it would be too long.
    """

    start: float
    end: float
    rows: Sequence[Row]
    bars: Sequence[Bar]
    critical: Sequence[int]
    hidden: int = 0

    def of(self, pid: int) -> Sequence[Bar]:
        """The bars of one process."""
        return [bar for bar in self.bars if bar.pid == pid]


def timeline_of(rows: Sequence[Row], histories: Mapping[int, Sequence[EventRow]], hidden: int) -> Timeline:
    """That of a tree, parents before children."""
    bars = {row.pid: bars_of(row.row, histories.get(row.pid, ()), row.seen) for row in rows}
    path = _critical(rows, bars)
    marked = [
        replace(bar, critical=True) if (row.pid, index) in path else bar
        for row in rows
        for index, bar in enumerate(bars[row.pid])
    ]
    start = min((bar.start for bar in marked), default=rows[0].row.created)
    end = max((bar.end for bar in marked), default=rows[0].seen)
    critical = sorted((bar.start, bar.pid) for bar in marked if bar.critical)
    return Timeline(start, end, rows, marked, list(dict.fromkeys(pid for _, pid in critical)), hidden)


def _critical(rows: Sequence[Row], bars: Mapping[int, Sequence[Bar]]) -> set[tuple[int, int]]:
    """Which bars are critical, by pid and number: from the end of the top backwards, and where that has
    waited, the same of the child that had ended last."""
    children: dict[int, list[Row]] = defaultdict(list)
    for row in rows[1:]:
        children[row.parent or 0].append(row)
    path: set[tuple[int, int]] = set()
    waiting = [(rows[0].pid, float("inf"))]
    while waiting:
        pid, until = waiting.pop()
        for index in range(len(bars[pid]) - 1, -1, -1):
            bar = bars[pid][index]
            if bar.start >= until:
                continue
            last = _awaited(bar, children[pid], min(until, bar.end)) if bar.doing is Doing.WAITING else None
            if last is None:
                path.add((pid, index))
                continue
            waiting.append((last.pid, last.row.ended or float("inf")))
            until = last.row.created
            if until > bar.start:
                path.add((pid, index))
    return path


_SLACK = 0.05
"""Seconds by which the end of a child may be written later than its parent has gone on."""


def _awaited(bar: Bar, children: Sequence[Row], until: float) -> Row | None:
    """The child that was waited for last in this time."""
    ended = [
        child
        for child in children
        if child.row.created < until
        and (bar.start < child.row.ended <= until + _SLACK if child.row.ended is not None else bar.open)
    ]
    return max(ended, key=lambda child: (child.row.ended or float("inf"), -child.row.created), default=None)
