"""Deadlines in the simulated world: who has one, and that it ends its whole tree, and not before its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from sqlalchemy import select

from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import Control
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.schema.tables import processes
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.fire import Fire
from quince_persistence.writing.operations.insert import Insert
from quince_persistence.writing.operations.restart import RestartProcess
from quince_persistence.writing.operations.retry import RetryProcesses
from quince_persistence.writing.operations.steps import CommitStep
from quince_persistence.writing.operations.sweep import SweepProcesses
from tests.simulation.world import World

HURRIED = 0.4
"""In so many of the simulations there are deadlines."""

p = processes
_live = select(p.c.pid).where(p.c.ended.is_(None), p.c.intent.is_distinct_from(Control.KILL.value))
_overdue = _live.where(p.c.deadline.is_not(None)).add_columns(p.c.deadline)


def hurry(seed: int) -> Random | None:
    """What draws the deadlines of a simulation. None: it has none."""
    random = Random(f"deadlines of {seed}")
    return random if random.random() < HURRIED else None


def give_deadlines(plan: dict[str, Any], random: Random) -> None:
    """Give some processes of a plan a time: one that is too short, one that may be enough, or plenty."""
    if random.random() < 0.4:
        plan["deadline"] = random.choice((0.3, 1.0, 2.0, 4.0, 9.0, 900.0))
    for child in (*plan["inputs"].get("first", ()), *plan["inputs"].get("second", ())):
        give_deadlines(child, random)


def is_overdue(reads: RowReader, now: float) -> bool:
    """Somebody lives longer than he may, and nobody has ended him."""
    return any(deadline <= now for _, deadline in reads.rows(_overdue))


class Deadlines:
    """All that were given, as the store has committed them.

    Attributes:
        until: When each process has to have ended, by the clock on the wall.
    """

    def __init__(self, world: World) -> None:
        self.until: dict[int, float] = {}
        self._world = world
        self._children: dict[int, list[int]] = {}

    def witness(self, operation: Operation[Any], outcome: Any, reads: RowReader) -> Iterator[str]:
        """Something was committed. Yields what is wrong with it."""
        if isinstance(operation, Insert):
            self._born(operation._processes, None)
        elif isinstance(operation, CommitStep) and not outcome.fenced:
            self._born(operation._step.children, operation._step.pid)
        elif isinstance(operation, Fire):
            made = {one.pid for one in outcome.made}
            self._born([new for new in operation._new.values() if new.pid in made], None)
        elif isinstance(operation, RestartProcess):
            self._born(outcome.made, None)
        elif isinstance(operation, RetryProcesses):
            for one in outcome:
                if one.refused is None and one.before is not None and one.before.terminated:
                    self.until.pop(one.pid, None)
        elif isinstance(operation, SweepProcesses):
            yield from self._ended(outcome.killed, reads)

    def _born(self, processes: Sequence[Any], parent: int | None) -> None:
        for new in processes:
            if (above := new.parent or parent) is not None:
                self._children.setdefault(above, []).append(new.pid)
            if getattr(new, "within", None) is not None:
                self.until[new.pid] = self._world.wall() + new.within

    def _ended(self, killed: Sequence[ControlOutcome], reads: RowReader) -> Iterator[str]:
        """Who was killed by a sweep, or is to be, is in the tree of a deadline that is over. All of it is."""
        now, families = self._world.wall(), set[int]()
        for one in killed:
            if self.until.get(one.pid, now + 1) <= now:
                families |= self._below(one.pid)
        for one in killed:
            if one.pid not in families:
                yield f"{one.pid} was killed for a deadline, and none is over"
        for (pid,) in reads.rows(_live) if families else ():
            if pid in families:
                yield f"{pid} lives on when the deadline of one above it is over"

    def _below(self, pid: int) -> set[int]:
        """This one and all its descendants."""
        return {pid}.union(*map(self._below, self._children.get(pid, ())))
