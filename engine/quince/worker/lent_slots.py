"""Slots of processes whose steps wait, inside, for other processes: they are lent, or the wait is refused.

The awaited processes come first: this worker takes them up itself, as far as it may, in the slots that are
lent. So a crowd of steps that each wait for a process of their own making gets on with the slots that there
are, and does not begin all of them before the first one ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

from quince.concurrency import aside
from quince.errors import WouldDeadlock
from quince.processes.running_step import RunningStep
from quince.recovery.lease import is_dead
from quince.troubles import awaited_inside, sentence_of_waits
from quince.worker.interfaces import Owner
from quince.worker.runner import Runner
from quince_persistence.records import ProcessRow, Selection, State

MOST_BLOCKING = 64
"""So many steps of one worker that have a step host to themselves wait inside at the same time: each of them
keeps memory and connections."""
MOST_COROUTINES = 500

MOST_VISITED = 1000
"""So many processes are looked at to find out whether a wait would be a circle."""

TOLD_SECONDS = 1.0
"""Shorter waits are not worth a word."""

AWAIT = "write `await handle`"
WAY_OUT = (
    "wait for it between the steps of a WorkChain, which holds nothing: "
    "`self.to_context(child=self.submit(...))`"
)


@dataclass(slots=True)
class Wait:
    """What the step of one process waits for.

    Attributes:
        awaited: In the store of this worker.
        cheap: It has no step host to itself.
        began: On the monotonic clock.
    """

    awaited: set[int]
    cheap: bool
    began: float


class LentSlots:
    """The waits inside steps of one worker.

    Args:
        runners: What drives a process here, by pid.
        take_first: Runs processes, before all tasks that have come.
        outer: The step in which this worker works, if it does.
    """

    def __init__(
        self,
        owner: Owner,
        runners: Mapping[int, Runner],
        take_first: Callable[[Sequence[int]], None],
        outer: RunningStep | None = None,
    ) -> None:
        self._owner = owner
        self._outer = outer
        self._runners = runners
        self._take_first = take_first
        self._waits: dict[int, Wait] = {}

    def lend_here(
        self, loop: asyncio.AbstractEventLoop, pid: int, store: str, awaited: Sequence[int], vague: bool
    ) -> str | None:
        """As `lend`, for a step in this program: in a thread, or on the worker's loop, which it blocks."""
        if asyncio._get_running_loop() is loop:
            return self._refused_on_loop(store, awaited)
        if loop.is_closed():
            return None
        try:
            lending = self.lend(pid, store, awaited, cheap=True, vague=vague)
            return asyncio.run_coroutine_threadsafe(lending, loop).result()
        except (RuntimeError, CancelledError):
            return None  # the worker has ended, and with it the step

    def _refused_on_loop(self, store: str, awaited: Sequence[int]) -> str | None:
        """A coroutine blocks this worker: nothing goes on here before its wait is over."""
        rows = self._owner.store.select(Selection(pids=list(awaited)))
        others = [row for row in self._owner.store.workers() if row.id != self._owner.id and not is_dead(row)]

        def may_end(row: ProcessRow) -> bool:
            if row.owner is None:
                return any(row.queue in other.queues for other in others)
            return row.owner != self._owner.id

        if store != self._owner.store.identity or all(map(may_end, rows)):
            return None
        return f"a coroutine that blocks holds up the worker that is to run it; {AWAIT}, or {WAY_OUT}"

    async def lend(
        self,
        pid: int,
        store: str,
        awaited: Sequence[int],
        *,
        cheap: bool,
        blocked: Collection[int] = (),
        vague: bool = False,
    ) -> str | None:
        runner = self._runners.get(pid)
        if runner is None:
            return None  # it is not this worker's any more, and is stopped
        ours = awaited if store == self._owner.store.identity else ()
        rows = await aside(self._owner.store.select, Selection(pids=list(ours))) if ours else []
        reached = set() if vague else await self._reached(rows)
        if pid in reached:
            return f"it waits for {pid} itself, or for what does so; neither could ever end"
        if held := sorted(reached & set(blocked)):
            return f"process {held[0]} runs in the event loop that this wait blocks; {AWAIT}, or {WAY_OUT}"
        if self._outer is not None and (refusal := await aside(self._lend_outer, pid, store, awaited)):
            return refusal
        if self._runners.get(pid) is not runner or not runner.stepping:
            return None
        if pid not in self._waits and (full := self._full(cheap)) is not None:
            return full
        wait = self._waits.setdefault(pid, Wait(set(), cheap, time.monotonic()))
        if not vague:
            wait.awaited = set(ours)
        self._take_first([row.pid for row in rows if self._may_run(row)])
        runner.waiting.lend_slot()
        return None

    def take_back(self, pid: int) -> None:
        if self._outer is not None:
            self._outer.go_on(pid)
        if self._waits.pop(pid, None) is not None and (runner := self._runners.get(pid)) is not None:
            runner.waiting.take_back_slot()

    def _lend_outer(self, pid: int, store: str, awaited: Sequence[int]) -> str | None:
        """Inside of another step all of this waits too."""
        assert self._outer is not None
        try:
            self._outer.wait_for(pid, store, awaited)
        except WouldDeadlock as error:
            return error.reason
        return None

    def sentences(self) -> list[str]:
        """That steps have waited for a while, for who asks why they do not get on. From any thread."""
        now = time.monotonic()
        long = {
            pid: wait.awaited for pid, wait in self._waits.copy().items() if now - wait.began >= TOLD_SECONDS
        }
        return [sentence_of_waits(long)] if long else []

    def _full(self, cheap: bool) -> str | None:
        waiting = sum(wait.cheap is cheap for wait in self._waits.values())
        if waiting < (MOST_COROUTINES if cheap else MOST_BLOCKING):
            return None
        known = f"{waiting} steps of {self._owner.name} wait inside like this one already"
        return f"{known}, and no more may; {WAY_OUT}"

    def _may_run(self, row: ProcessRow) -> bool:
        if not row.ready or row.owner is not None:
            return False
        if self._owner.queues or self._outer is not None:
            return row.queue in self._owner.queues
        return row.queue == "default"  # in a `run()`: here and now, as the rest of it

    async def _reached(self, rows: Sequence[ProcessRow]) -> set[int]:
        """The pids of these, of what they wait for, of what that waits for, ..."""
        reached: set[int] = set()
        level = {row.pid for row in rows}
        while level and len(reached) < MOST_VISITED:
            reached |= level
            here = level & self._waits.keys()
            others = sorted(level - here)
            known = {row.pid: row for row in rows}
            if others and not known.keys() >= set(others):
                rows = await aside(self._owner.store.select, Selection(pids=others))
                known = {row.pid: row for row in rows}
            further = await self._awaited_by([known[pid] for pid in others if pid in known])
            level = further.union(*(self._waits[pid].awaited for pid in here if pid in self._waits)) - reached
        return reached

    async def _awaited_by(self, rows: Sequence[ProcessRow]) -> set[int]:
        """What processes wait for that do not wait in a step here."""
        waiting = [row.pid for row in rows if row.state is State.WAITING]
        elsewhere = {row.pid: row.owner for row in rows if row.owner not in (None, self._owner.id)}
        store = self._owner.store

        def read() -> set[int]:
            found = {one.pid for pid in waiting for one in store.awaited(pid)}
            workers = {worker.id: worker.troubles for worker in store.workers()} if elsewhere else {}
            for pid, owner in elsewhere.items():
                found |= set(awaited_inside(pid, workers.get(owner or "", ())))
            return found

        return await aside(read) if waiting or elsewhere else set()
