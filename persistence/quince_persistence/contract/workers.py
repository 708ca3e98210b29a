"""What a store promises of workers; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records import (
    ProcessRow,
    Woken,
)
from quince_persistence.records.workers import QueueRow, Sweep, Vitals, WorkerRow


class WorkerContract(Protocol):
    """Workers, what they hold, and what waits for them."""

    def register_worker(self, worker: WorkerRow) -> Future[None]:
        """Insert the row of a worker, with a heartbeat of now; a row of the same id is replaced."""

    def heartbeat(
        self,
        worker_id: str,
        *,
        state: str | None = None,
        troubles: Sequence[str] = (),
        vitals: Vitals | None = None,
    ) -> Future[None]:
        """Note that a worker lives now. It goes over a thread and a connection of its own, past all other
        writes.

        Args:
            state: The worker's state from now on; unchanged if not given.
            troubles: What the worker finds wrong with itself just now, each in one sentence.
            vitals: How the worker is; as it said before if not given.

        Raises:
            UnknownWorker: the worker has no row: it was declared dead, or never registered.
        """

    def release_worker(
        self,
        worker_id: str,
        *,
        queues: tuple[str, str] | None = None,
        died: bool = True,
        silent: bool = False,
    ) -> Future[Sequence[Woken]]:
        """Delete a worker that is gone, and release its processes (epoch kept, intents applied).

        Args:
            queues: Its own queue, and the one to which live processes of that queue belong from now on.
            died: It did not end in order: that is in the history of each process that was at work in it, and
                counted (`ProcessRow.deaths`), and held against none.
            silent: It is only not heard of: it may be frozen, or cut off.

        Returns:
            All of these processes that are ready, to be put on their queues.
        """

    def sweep(self, *, expiry: float, stale: float) -> Future[Sweep]:
        """Fire the timers that are due, find what may have been lost, and drop large parts of values that
        nobody uses any more. Each is one indexed query or two.

        Args:
            expiry: Workers without a heartbeat for so many seconds are returned; they are not released.
            stale: Processes that have been ready and unowned for so many seconds are returned.
        """

    def take_turn(self, name: str, *, every: float) -> Future[bool]:
        """Whether it is this program that does now what one of all does every so many seconds."""

    def workers(self) -> Sequence[WorkerRow]:
        """All workers that are registered, the oldest first."""

    def owners(self) -> dict[str, int]:
        """How many processes each owner holds, whether or not there is such a worker."""

    def claims(self, owner: str) -> dict[int, int]:
        """The pids of the processes that an owner holds, each with its epoch."""

    def asked(self, owner: str) -> Sequence[ProcessRow]:
        """The processes of an owner that have an intent, or are paused."""

    def idle(self, seconds: float) -> Sequence[Woken]:
        """Processes that have been ready and unowned for so many seconds, the longest first."""

    def ready(self, pids: Sequence[int]) -> Sequence[Woken]:
        """Those of these processes that are ready and unowned."""

    def queues(self) -> Sequence[QueueRow]:
        """What is ready and unowned on each queue, and since when."""

    def backlog(self) -> dict[str, int]:
        """How many processes are ready and unowned, by queue."""
