"""Processes are begun anew in the midst of everything, from wherever that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from sqlalchemy import select

from quince.client.restart import beginnings
from quince_persistence.reading.row_reader import RowReader
from quince_persistence.records import Selection, State
from quince_persistence.records.controls import Restarted
from quince_persistence.schema.tables import processes
from tests.simulation.client import Client
from tests.simulation.world import World

BEGUN_ANEW = 0.4
"""Share of the worlds in which that happens."""

p = processes


class Restarts:
    """Begins some anew now and then, in any state, from any step before which there is a checkpoint."""

    def __init__(self, world: World, client: Client, span: float) -> None:
        self._client = client
        self._random = random = Random(f"restarts of {world.seed}")
        if random.random() < BEGUN_ANEW:
            for _ in range(random.randint(1, 3)):
                world.after(random.uniform(0.1, 1.0) * span, None, "restart", self._restart)

    def _restart(self) -> None:
        random, store = self._random, self._client.store
        rows = store.select(Selection(failed=random.random() < 0.5)) or store.select(Selection())
        rows = [row for row in rows if not row.class_path.endswith(":Bomb")]
        begun = [row for row in rows if beginnings(store, row.pid) and random.random() < 0.7]
        if rows:
            row = random.choice(begun or rows)
            steps = [None, None, *(name for name, _ in beginnings(store, row.pid))]
            self._client.restart(
                row, random.choice(steps), {"seconds": 0.1} if random.random() < 0.3 else None
            )


def in_vain(outcome: Restarted, reads: RowReader) -> Iterator[str]:
    """Whom a new process shares although nothing good comes of them any more."""
    shared = select(p.c.pid, p.c.state, p.c.exit_status).where(p.c.pid.in_(outcome.shared))
    for pid, state, status in reads.rows(shared):
        if state in (State.EXCEPTED, State.KILLED) or status:
            yield f"{outcome.pid} shares {pid}, which is {state} already"
