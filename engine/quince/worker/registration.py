"""A worker as others know it: its row in the store, the lease on it, and what it leaves when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from quince.concurrency import aside, failure_of, landed
from quince.recovery.dead_workers import release_worker
from quince.recovery.interfaces import StepHosts
from quince.recovery.lease import Lease
from quince.settings import host_name
from quince.worker.outbox import Outbox
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.contract import StoreContract
from quince_persistence.databases.sqlite_url import quoted
from quince_persistence.errors import PersistenceError, StoreMoved
from quince_persistence.records import Woken
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince.worker")

RELEASE_SECONDS = 10.0
"""Seconds that a worker that ends waits for the store to take down what it leaves."""


def worker_row(
    worker_id: str,
    name: str,
    queues: tuple[str, ...],
    slots: int,
    lock: Path,
    metrics: str | None = None,
) -> WorkerRow:
    """The row of a worker that begins now in this operating-system process.

    Args:
        metrics: Where its metrics are served.
    """
    now = time.time()
    return WorkerRow(
        id=worker_id,
        host=host_name(),
        ospid=int(worker_id.split(":")[-2]),
        name=name,
        queues=queues,
        slots=slots,
        lock=quoted(lock),
        state="running",
        started=now,
        heartbeat=now,
        metrics=metrics,
    )


class Registration:
    """Keeps a worker registered inside an `async with` block.

    Args:
        row: Makes the row of the worker, as of now.
        lock: The file of its lease.
        on_lost: Called, from any thread, when the worker was declared dead.
        on_moved: Called, from any thread, when the store is not where it was.
        hosts: Where its steps run, if that is not in this program.
    """

    def __init__(
        self,
        store: StoreContract,
        outbox: Outbox,
        side: SideTasks,
        row: Callable[[], WorkerRow],
        lock: Path,
        on_lost: Callable[[], None],
        on_moved: Callable[[StoreMoved], None],
        hosts: StepHosts | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._row = row
        self._worker = row()
        self._lease = Lease(store, self._worker.id, lock, on_lost, side, on_moved, hosts)

    async def __aenter__(self) -> Registration:
        await aside(self._lease.__enter__)
        try:
            await landed(self._store.register_worker(self._row()))
        except BaseException:
            self._lease.__exit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self._release()
        finally:
            self._lease.__exit__()

    def beat(self) -> None:
        """Say at once, and not only when it is time again, that the worker lives."""
        self._lease.beat()

    def renew(self) -> None:
        """Register anew a worker that was declared dead.

        What it has claimed since (a claim may have been on its way) is released: nobody here would run it.
        """
        released = landed(self._store.release_worker(self._worker.id, died=False))
        released.add_done_callback(self._released)
        self._store.register_worker(self._row())

    def _released(self, done: asyncio.Future[Sequence[Woken]]) -> None:
        if (error := failure_of(done)) is None:
            self._outbox.enqueue_unowned(done.result())
        else:
            self._warn("%(worker_name)s could not release what it had claimed: %(error)s", error)

    async def _release(self) -> None:
        """Leave what a death leaves, and no less: all that it holds, or that is queued for it, is others'.

        While the store is away the next sweep does it: the lock, which stays, proves that the worker is gone.
        """
        try:
            released = landed(release_worker(self._store, self._worker.id, died=False))
            woken = await asyncio.wait_for(released, RELEASE_SECONDS)
        except (PersistenceError, TimeoutError) as error:
            self._warn("%(worker_name)s leaves what it holds to the next sweep: %(error)s", error)
            return
        self._lease.over = True
        self._outbox.enqueue_unowned(woken)
        await self._outbox.drain()

    def _warn(self, sentence: str, error: BaseException) -> None:
        _log.warning(sentence, worker=self._worker.id, worker_name=self._worker.name, error=error)
