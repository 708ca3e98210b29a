"""Trees are pruned in the midst of everything: those that have ended as a whole, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from sqlalchemy import select

from quince_persistence.records import ProcessRow, Result, Selection
from quince_persistence.schema.tables import processes
from quince_persistence.writing.deleting import OF_PROCESSES
from tests.simulation.client import Client
from tests.simulation.stores import Archive
from tests.simulation.world import World

PRUNED = 0.3
"""Share of the worlds in which that happens."""
ALWAYS = 1e18


class Pruner:
    """Prunes now and then whatever it may.

    Attributes:
        rows, inputs, results: What the store had of those that are gone.
        wrong: One sentence each.
    """

    def __init__(self, world: World, client: Client, span: float) -> None:
        self.rows: dict[int, ProcessRow] = {}
        self.inputs: dict[int, bytes] = {}
        self.results: dict[int, Result] = {}
        self.wrong: list[str] = []
        self._client = client
        random = Random(f"prune in {world.seed}")
        self._at_work = random.random() < PRUNED
        if self._at_work:
            for _ in range(random.randint(1, 3)):
                world.after(random.uniform(0.5, 3.0) * span, None, "prune", self.prune)

    def prune(self) -> None:
        """Prune every tree that was submitted, if it has ended."""
        for root in self._client.roots if self._at_work else ():
            if root not in self.rows:
                self._prune(root)

    def _prune(self, root: int) -> None:
        store = self._client.store
        tree = store.tree(root)
        pids = [row.pid for row in tree]
        results = {result.row.pid: result for result in store.results(pids)}
        inputs = {pid: store.inputs(pid) or b"" for pid in pids}
        gone = store.prune([root], before=ALWAYS, failed_before=ALWAYS).result()
        ended = bool(tree) and all(row.terminated for row in tree) and not self._repeated(pids)
        if sorted(gone.pids) != (sorted(pids) if ended else []):
            self.wrong.append(f"of {pids}, ended {ended}, were pruned {gone}")
        if gone.pids:
            self.rows.update((row.pid, row) for row in tree)
            self.results.update(results)
            self.inputs.update(inputs)

    def _repeated(self, pids: Sequence[int]) -> bool:
        """Another process has begun from one of these: they are to stay as long as that is there."""
        return any(
            row.options.restart_of in pids and row.pid not in pids
            for row in self._client.store.select(Selection())
        )


def left_over(archive: Archive) -> list[str]:
    """Rows of processes that are not there: something was written to one after it was pruned."""
    there = select(processes.c.pid)
    found = []
    for table in OF_PROCESSES:
        strays = archive.reads.rows(select(table.c.pid).where(table.c.pid.not_in(there)).distinct())
        found += [f"there is something of {pid} in {table.name}, and no such process" for (pid,) in strays]
    return found
