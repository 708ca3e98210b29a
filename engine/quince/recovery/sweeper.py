"""Repairing what messages and workers lost: dead workers, lost messages, timers.

Every sweep is a few indexed queries; any worker does it, and doing it twice does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from quince.concurrency import aside, landed
from quince.messages import worker_of_run
from quince.processes.orphans import end_orphans
from quince.recovery.broker_presence import SILENCE_SECONDS, BrokerPresence
from quince.recovery.dead_workers import release_worker
from quince.recovery.due_schedules import DueSchedules
from quince.recovery.interfaces import SweepOwner
from quince.recovery.lease import has_ended, is_dead, sweep_locks
from quince.settings import EXPIRY_SECONDS
from quince_messaging.contract import AsyncCommunicator
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import Control, Woken
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince.worker")

DEATH_SECONDS = 0.5
SWEEP_SECONDS = 2.0
STALE_SECONDS = 5.0
LOCK_ROUNDS = 120
"""Rounds between two searches for lock files that dead workers have left."""

SUSPICION_SECONDS = 2.5
"""Seconds that a worker with an expired heartbeat is watched before it is taken for dead: more than the
time between two heartbeats."""


Part = Callable[[], Coroutine[Any, Any, None]]


class Sweeper:
    """The sweeps of one worker."""

    def __init__(self, worker: SweepOwner, communicator: AsyncCommunicator) -> None:
        self._worker = worker
        self._communicator = communicator
        self._silent: dict[str, tuple[float, float]] = {}
        self._rated = False
        self._presence = BrokerPresence(worker.id, communicator)
        self._orphans: set[tuple[int, int]] = set()
        self._lost: set[tuple[int, int]] = set()
        self._turn = 0
        self._schedules = DueSchedules(worker)

    def start(self, side: SideTasks) -> None:
        """Sweep from now on, as long as `side` lives; whatever fails is tried again with the next round."""
        side.keep("the sweep", self.round, every=DEATH_SECONDS, longest=SWEEP_SECONDS)

    async def round(self) -> None:
        """One round, of which no part is kept from being done by the failure of another.

        Raises:
            Exception: the first failure, after all has been tried.
        """
        full = self._turn % max(1, round(SWEEP_SECONDS / DEATH_SECONDS)) == 0
        self._turn += 1
        parts: list[Part] = [self._release_dead]
        if self._worker.queues:  # a `run()` is no worker that others would count on
            parts.append(self._schedules.fire)
        if full:
            parts += [self._apply_missed_controls, self._compare_claims]
        if full or self._silent or self._rated:
            parts.append(self._sweep)
        await _each(parts)

    async def sweep(self) -> None:
        """Fire at once what is due; find ready processes that nobody has heard of."""
        await _each([self._schedules.fire, self._sweep])

    async def _release_dead(self) -> None:
        """Workers of this host whose lock is free are dead for certain. So are those of another one that
        neither the broker nor the store has heard of for a while."""
        began = time.monotonic()
        workers = await aside(self._worker.store.workers)
        self._presence.saw(workers, began)
        silence = f"no queue in the broker, no heartbeat for {SILENCE_SECONDS:g} s"
        dead = [(worker, "its lock is free") for worker in await aside(self._dead_here, workers)]
        await self._release_all(dead)
        vanished = await self._presence.vanished(workers)
        await self._release_all([(worker, silence) for worker in vanished], silent=True)

    def _dead_here(self, workers: Sequence[WorkerRow]) -> list[WorkerRow]:
        if self._turn % LOCK_ROUNDS == 1:
            sweep_locks(self._worker.location.state / "locks", {worker.id for worker in workers})
        others = [worker for worker in workers if worker.id != self._worker.id]
        for worker in filter(has_ended, others):
            end_orphans(worker.id)  # as a rule its template has done so
        return [worker for worker in others if is_dead(worker)]

    async def _apply_missed_controls(self) -> None:
        """Controls whose message did not come: the broker is away, or was when they were accepted."""
        runners = self._worker.runners
        suspended = [runner for runner in runners.values() if runner.suspended]
        asked = {row.pid: row for row in await aside(self._worker.store.asked, self._worker.id)}
        for row in asked.values():
            if row.intent is not None and row.pid in runners:
                runners[row.pid].notify(row.intent, now=row.intent_now)
        if played := [runner for runner in suspended if runner.pid not in asked]:
            claims = await aside(self._worker.store.claims, self._worker.id)
            for runner in played:
                if claims.get(runner.pid) == runner.epoch:  # else it was killed by force
                    runner.notify(Control.PLAY)

    async def _compare_claims(self) -> None:
        """Return claims that the store counts as this worker's and nobody here drives: the answer to one was
        lost. Stop what is driven here without one: it was killed by force, and nobody could say so.

        What is on its way between the store and here is neither: it would have to be in two sweeps in a row.
        """
        claims = set((await aside(self._worker.store.claims, self._worker.id)).items())
        driven = {(runner.pid, runner.epoch) for runner in self._worker.runners.values()}
        self._orphans, still = claims - driven, self._orphans & (claims - driven)
        self._lost, lost = driven - claims, self._lost & (driven - claims)
        for runner in list(self._worker.runners.values()):
            if (runner.pid, runner.epoch) in lost:
                runner.notify(Control.KILL, now=True)
        await _each([partial(self._return, pid, epoch) for pid, epoch in sorted(still)])

    async def _return(self, pid: int, epoch: int) -> None:
        _log.warning(
            "process %(pid)d is claimed here and nobody drives it; released",
            pid=pid,
            epoch=epoch,
            worker=self._worker.id,
        )
        store = self._worker.store
        outcome = await landed(store.release(pid, self._worker.id, epoch, always=True))
        row = await aside(store.get, pid)
        if outcome.ready and row is not None:
            self._worker.outbox.enqueue([row])

    async def _sweep(self) -> None:
        began = time.monotonic()
        found = await landed(self._worker.store.sweep(expiry=EXPIRY_SECONDS, stale=STALE_SECONDS))
        self._discount(time.monotonic() - began)
        self._rated = found.rated
        self._worker.outbox.enqueue_unowned(found.due)
        self._worker.wakeups.ended(found.killed)
        silence = f"no heartbeat for {EXPIRY_SECONDS:g} s"
        dead = [(worker, silence) for worker in self._really_silent(found.dead)]
        await _each(
            [
                partial(self._release_all, dead, silent=True),
                partial(self._take_over, found.enqueue),
                partial(self._notify_again, found.enqueue),
            ]
        )

    async def _notify_again(self, idle: Sequence[Woken]) -> None:
        """Ready processes that have waited for a while get another task, where their queue is empty."""
        forgotten: dict[str, list[Woken]] = {}
        for process in idle:
            if process.queue in self._worker.queues:
                forgotten.setdefault(process.queue, []).append(process)
        await _each([partial(self._notify_queue, queue, found) for queue, found in forgotten.items()])

    async def _notify_queue(self, queue: str, processes: Sequence[Woken]) -> None:
        if await self._communicator.queue_size(queue=queue) == 0:
            _log.info(
                "%(count)d ready processes had no task on queue %(queue)s; enqueued",
                queue=queue,
                count=len(processes),
                worker=self._worker.id,
            )
            self._worker.outbox.enqueue(processes)

    async def _take_over(self, idle: Sequence[Woken]) -> None:
        """Ready processes of a `run()` that has ended and could hand nothing on."""
        runs = {worker_id for one in idle if (worker_id := worker_of_run(one.queue)) is not None}
        if runs:
            known = {worker.id for worker in await aside(self._worker.store.workers)}
            for ended in sorted(runs - known):
                _log.info("what the run() of %(worker)s has left goes on here", worker=ended)
                woken = await landed(release_worker(self._worker.store, ended, died=False))
                self._worker.outbox.enqueue_unowned(woken)

    def _discount(self, seconds: float) -> None:
        """What kept the store from this sweep (a large write, say) kept heartbeats from it, too: time for
        which one waited is none for which one watched."""
        self._silent = {id_: (heartbeat, since + seconds) for id_, (heartbeat, since) in self._silent.items()}

    def _really_silent(self, expired: Sequence[WorkerRow]) -> list[WorkerRow]:
        """Those whose heartbeat has expired and did not come while we watched.

        A clock that was stepped makes every heartbeat look old; a worker that lives beats again
        before the second sweep.
        """
        now = time.monotonic()
        silent = {worker.id: (worker.heartbeat, now) for worker in expired}
        for worker_id, (heartbeat, since) in self._silent.items():
            if silent.get(worker_id, (None, 0.0))[0] == heartbeat:
                silent[worker_id] = (heartbeat, since)
        self._silent = silent
        long = [worker for worker in expired if now - silent[worker.id][1] > SUSPICION_SECONDS]
        return [worker for worker in long if worker.id != self._worker.id]

    async def _release_all(self, dead: Sequence[tuple[WorkerRow, str]], *, silent: bool = False) -> None:
        await _each([partial(self._release, worker, proof, silent) for worker, proof in dead])

    async def _release(self, worker: WorkerRow, proof: str, silent: bool) -> None:
        """What a dead worker left goes on elsewhere; so does what one has that is only not heard of."""
        woken = await landed(release_worker(self._worker.store, worker.id, silent=silent))
        _log.warning(
            "worker %(worker_name)s (%(worker)s) is taken for dead (%(reason)s); %(count)d of its processes "
            "go on elsewhere"
            if silent
            else "worker %(worker_name)s (%(worker)s) is dead (%(reason)s); %(count)d of its processes go on "
            "elsewhere",
            worker=worker.id,
            host=worker.host,
            count=len(woken),
            worker_name=worker.name,
            reason=proof,
        )
        self._worker.outbox.enqueue_unowned(woken)


async def _each(parts: Sequence[Part]) -> None:
    """Do all, one after the other, whatever becomes of any; then raise the first failure."""
    failures: list[Exception] = []
    for part in parts:
        try:
            await part()
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
