"""A process and its descendants, each with its step, what it waits for, and for how long."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quince.showing import ShowsItself
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, State


@dataclass(frozen=True, slots=True)
class Branch(ShowsItself):
    """A process in its tree. Iterating gives it and all its descendants, parents before children.

    Attributes:
        row: The process as it stood when the tree was read.
        waits_for: pids of the processes whose ends it waits for.
        children: By pid.
        seen: When it was read, in seconds since the epoch.
        started: When a worker first took it up, in seconds since the epoch; None if none has.
    """

    row: ProcessRow
    waits_for: Sequence[int]
    children: Sequence[Branch] = field(repr=False, compare=False)
    seen: float
    started: float | None = None

    @property
    def pid(self) -> int:
        return self.row.pid

    @property
    def state(self) -> State:
        return self.row.state

    @property
    def paused(self) -> bool:
        return self.row.paused

    @property
    def owner(self) -> str | None:
        """The worker that holds it."""
        return self.row.owner

    @property
    def terminated(self) -> bool:
        return self.row.terminated

    @property
    def step(self) -> str | None:
        """The step it is in, or that comes next; None before the first and after the last."""
        return self.row.step

    @property
    def due(self) -> float | None:
        """Seconds until its timer fires, or None."""
        return None if self.row.due is None else self.row.due - self.seen

    @property
    def lasted(self) -> float:
        """Seconds from its creation to its end, or until now."""
        return (self.row.ended or self.seen) - self.row.created

    @property
    def unchanged(self) -> float:
        """Seconds since anything was written of it: for so long it is in its step, or waits."""
        return self.seen - self.row.updated

    def __iter__(self) -> Iterator[Branch]:
        waiting = [self]
        for branch in waiting:
            yield branch
            waiting += branch.children

    def __len__(self) -> int:
        return sum(1 for _ in self)


def tree(store: StoreContract, pid: int) -> Branch | None:
    """The tree below a process, as it stands; None if there is no such process."""
    rows = store.tree(pid)
    return grow(pid, rows, store.started([row.pid for row in rows]), store.awaited_in_tree(pid))


def grow(
    root: int,
    rows: Sequence[ProcessRow],
    started: Mapping[int, float],
    awaited: Mapping[int, Sequence[int]],
) -> Branch | None:
    """The tree that rows in any order make.

    Args:
        root: pid of the process at its top.
        rows: It and all its descendants.
        started: When they were first taken up, by pid.
        awaited: pids of the processes that they wait for, by pid.

    Returns:
        None if the root is not among the rows.
    """
    seen = time.time()
    children: dict[int | None, list[Branch]] = defaultdict(list)
    branches: dict[int, Branch] = {}
    for row in sorted(rows, key=lambda one: one.pid):
        branch = Branch(row, awaited.get(row.pid, ()), children[row.pid], seen, started.get(row.pid))
        branches[row.pid] = branch
        if row.pid != root:
            children[row.parent].append(branch)
    return branches.get(root)
