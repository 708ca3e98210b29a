"""From a task to a running process: a free slot, a claim, a runner."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from quince.concurrency import failure_of, landed
from quince.messages import pid_of, shown
from quince.patience import Patience
from quince.worker.interfaces import Owner
from quince.worker.runner import Runner
from quince.worker.task_buffer import Entry, TaskBuffer
from quince_messaging.contract import TaskHandle
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import Claim

_log = StructuredLogger("quince.worker")


DECLINED_SECONDS = 10.0
"""So long a worker leaves a process to others that it could not load."""
ANOTHER_SECONDS = 0.3
"""After so long it puts back the task of such a one."""


class Intake:
    """Takes tasks while the worker has free slots, claims their processes, and drives them.

    Args:
        runners: Where those are kept that drive a process, by pid.

    Attributes:
        buffer: The tasks that wait for a slot.
    """

    def __init__(self, owner: Owner, runners: dict[int, Runner]) -> None:
        self._owner = owner
        self._runners = runners
        self.buffer = TaskBuffer(owner.slots, self._claim)
        self._refusals = Patience(owner, 0, "tasks cannot be claimed")
        self._driving: set[asyncio.Task[None]] = set()
        self._claiming: set[asyncio.Future[Sequence[Claim]]] = set()
        self._declined: dict[int, float] = {}
        self._life = 0
        self._abandoned = False

    # Tasks

    def on_tasks(self, tasks: Sequence[TaskHandle]) -> None:
        """Tasks have been delivered."""
        known, loop = [], asyncio.get_running_loop()
        for task in tasks:
            pid = pid_of(task.body)
            if pid is None:
                task.dead_letter(f"not a task of this engine: {shown(task.body)}")
            elif self._declined.get(pid, 0.0) > loop.time():
                loop.call_later(ANOTHER_SECONDS, task.requeue)
            else:
                known.append((pid, task))
        self.buffer.put(known)

    def decline(self, pid: int) -> None:
        """Leave tasks for it to other workers for a while."""
        now = asyncio.get_running_loop().time()
        self._declined = {one: until for one, until in self._declined.items() if until > now}
        self._declined[pid] = now + DECLINED_SECONDS

    # Claims

    def _claim(self, batch: Sequence[Entry]) -> None:
        """Claim what the buffer gives (a slot is taken for each); then acknowledge its tasks."""
        life = self._life
        try:
            pids, queues, leaving = [pid for pid, _ in batch], self._owner.queues, self._left_to_others()
            claiming = landed(self._owner.store.claim(pids, self._owner.id, queues=queues, leaving=leaving))
        except Exception as error:
            self._unclaimed(batch, error)
            return
        self._claiming.add(claiming)
        claiming.add_done_callback(lambda done: self._claimed(batch, done, life))

    def _claimed(self, batch: Sequence[Entry], done: asyncio.Future[Sequence[Claim]], life: int) -> None:
        self._claiming.discard(done)
        if (error := failure_of(done)) is not None:
            self._unclaimed(batch, error)
            return
        self._refusals.over()
        # Those of an earlier life were released with it; a worker that leaves hands them on with the rest.
        claims = done.result() if life == self._life and not self._abandoned else ()
        slots, (batch, passed) = len(batch), _passed_over(batch, claims)
        for _, task in batch:
            if task is not None:
                task.ack()
        for claim in claims:
            try:
                self._start(claim)
            except Exception:  # nobody drives it: a sweep gives it back
                _log.exception(
                    "process %(pid)s cannot be begun",
                    pid=claim.row.pid,
                    class_=claim.row.class_path,
                    queue=claim.row.queue,
                    worker=self._owner.id,
                )
                self._owner.slots.give()
        self.buffer.put_back(passed)
        self._owner.slots.give(slots - len(claims))

    def _left_to_others(self) -> set[int]:
        now = asyncio.get_running_loop().time()
        return {pid for pid, until in self._declined.items() if until > now}

    def _unclaimed(self, batch: Sequence[Entry], error: BaseException) -> None:
        """They are kept for a while, and their slots with them, so that nobody is asked again at once."""
        pause = 0.0 if self._owner.draining else self._refusals.after(error)
        asyncio.get_running_loop().call_later(pause, self._return, batch)

    def _return(self, batch: Sequence[Entry]) -> None:
        """They could not be claimed. Others may take the tasks; what has none is tried here again."""
        for _, task in batch:
            if task is not None:
                task.requeue()
        self._owner.slots.give(len(batch))
        if not self._owner.draining:
            self.buffer.put_pids([pid for pid, task in batch if task is None])

    # Runners

    def _start(self, claim: Claim) -> None:
        runner = Runner(self._owner, claim)
        self._runners[runner.pid] = runner
        if self._owner.draining:
            runner.drain()
        task = asyncio.get_running_loop().create_task(runner.run(), name=f"process {runner.pid}")
        self._driving.add(task)
        task.add_done_callback(lambda done: self._ended(runner, done))

    def _ended(self, runner: Runner, task: asyncio.Task[None]) -> None:
        self._driving.discard(task)
        if task.cancelled() and self._owner.draining:
            return  # it is released with the others
        if self._runners.get(runner.pid) is runner:
            del self._runners[runner.pid]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _log.error(
                "process %(pid)s: the engine failed",
                pid=runner.pid,
                worker=self._owner.id,
                error=error,
                exc_info=error,
            )

    # The end

    @property
    def idle(self) -> bool:
        """It drives nothing, claims nothing, and has no task at hand."""
        return self.buffer.empty and not (self._runners or self._claiming)

    @property
    def at_work(self) -> int:
        """How many processes are driven or being claimed."""
        return len(self._driving) + len(self._claiming)

    def drain(self) -> None:
        """Let every process end after the step that it is in."""
        for runner in list(self._runners.values()):
            runner.drain()

    async def all_ended(self) -> None:
        """No process is driven, and no claim is under way that would start one."""
        while self._driving or self._claiming:
            waits: list[asyncio.Future[Any]] = [*self._driving, *self._claiming]
            await asyncio.wait(waits)

    def forget(self) -> None:
        """Drop every process: none of them is this worker's any more, nor is what it claims just now."""
        for task in self._driving:
            task.cancel()
        self._runners.clear()
        self._life += 1

    async def abandon(self, steps: float, claims: float) -> None:
        """Cancel what is driven, and begin no step any more.

        Args:
            steps: Seconds for steps that are cut off.
            claims: Seconds for claims under way.
        """
        self._abandoned = True
        for task in self._driving:
            task.cancel()
        if self._driving:
            await asyncio.wait(list(self._driving), timeout=steps)
        if self._claiming:
            await asyncio.wait(list(self._claiming), timeout=claims)


def _passed_over(batch: Sequence[Entry], claims: Sequence[Claim]) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """The tasks that are done with; and those that may have been passed over, as others came first."""
    claimed = {claim.row.pid for claim in claims}
    if claimed.issubset(pid for pid, _ in batch):
        return batch, ()
    return [entry for entry in batch if entry[0] in claimed], [
        entry for entry in batch if entry[0] not in claimed
    ]
