"""A worker: takes tasks while it has free slots, claims their processes, and drives them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import quince_messaging
from quince.concurrency import StepThreads, aside, failure_of, landed
from quince.messages import (
    APPLY_SECONDS,
    ARE_YOU_THERE,
    CONTROLS,
    TERMINATIONS,
    asked_of_worker,
    change_of,
    look_message,
    pid_of,
    pids_of,
    run_queue,
    shown,
)
from quince.patience import Patience, told_of
from quince.processes.child import ChildProcess
from quince.processes.definition import class_of
from quince.processes.process import Process
from quince.processes.programs import TERM_SECONDS
from quince.recovery import poison as suspects
from quince.recovery.dead_workers import hand_on
from quince.recovery.lease import Lease, new_worker_id
from quince.recovery.poison import Entry, Suspects
from quince.recovery.sweeper import Sweeper
from quince.settings import DEFAULT_SLOTS, GRACE_SECONDS, LINGER_SECONDS, host_name
from quince.worker import checkpoint_check as roundtrip
from quince.worker.control_server import ControlServer
from quince.worker.interfaces import Phase
from quince.worker.loop_watch import LoopWatch
from quince.worker.outbox import Outbox
from quince.worker.runner import Runner
from quince.worker.slots import Slots
from quince.worker.stale_code import StaleCode
from quince.worker.stepper import Stepper
from quince.worker.task_buffer import TaskBuffer
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.contract import AsyncCommunicator, BroadcastMessage, TaskHandle
from quince_messaging.errors import MessagingError
from quince_messaging.side_tasks import SideTasks
from quince_persistence.codec import find_classes_by
from quince_persistence.databases.sqlite_url import quoted
from quince_persistence.errors import PersistenceError, StoreMoved
from quince_persistence.records import (
    Claim,
    Control,
    ProcessRow,
    State,
    StepOutcome,
    Woken,
    WorkerRow,
)

_log = logging.getLogger("quince.worker")

LAST_SECONDS = 5.0
"""Seconds that a worker that leaves waits for an answer of the store, or of the broker."""
PROGRAMS_SECONDS = 2 * TERM_SECONDS + LAST_SECONDS
"""Seconds that it waits for steps that were cut off: they may have programs to end."""
MOST_THREADS = 10_000
"""Started as they are needed. The slots limit how many are at work; a step that was fenced by force
keeps its thread until it ends, and must not take it from others."""
DEFAULT_THREADS = 64
"""Of the loop's default executor, where `asyncio.to_thread` of users' coroutines goes."""
SMALL_OUTPUTS = 4096
SMALL_TOGETHER = 4_000_000
"""Bytes of outputs of a child, and of all children of a chain, that are read with how they ended."""


class Worker:
    """One worker. `run()` lasts until `stop()`; `leave()` ends it at once.

    Args:
        location: The workspace.
        slots: How many processes run at once (waiting ones hold none).
        queues: The queues it consumes; none for a worker that is fed by hand.
        name: For people; also its log's name.
        linger: Seconds that a waiting process stays in memory.
        grace: How many seconds steps that run get when it stops.
        checked: Round-trip each checkpoint, unless `QUINCE_CHECK` says otherwise.

    Attributes:
        errors: The exceptions that ended processes, for those pids that stand in it (`run()` puts its own).
    """

    def __init__(
        self,
        location: Location,
        *,
        slots: int = DEFAULT_SLOTS,
        queues: Sequence[str] = ("default",),
        name: str = "worker",
        linger: float = LINGER_SECONDS,
        registry: ClassLoader | None = None,
        checked: bool = False,
        grace: Callable[[], float] = lambda: GRACE_SECONDS,
    ) -> None:
        self.id = new_worker_id()
        self.location = location
        self.queues = tuple(queues)
        self.name = name
        self.linger = linger
        self.draining = False
        self._grace = grace
        self.checked = roundtrip.wanted(checked)
        self.slots = Slots(slots)
        self.held: dict[int, Runner] = {}
        self.side = SideTasks(_log, (PersistenceError, MessagingError))
        self.errors: dict[int, BaseException | None] = {}
        self.troubles: dict[int, str] = {}
        self.side.also.append(lambda: told_of(self.troubles))
        self._claims = Patience(self, 0, "tasks cannot be claimed")
        self.store: Any = None
        self.outbox: Any = None
        self.stepper: Any = None
        self.inbox: Any = None
        self._registry = registry or ClassLoader(location.folder, location.allowed)
        find_classes_by(self._registry)
        self._importing = threading.Lock()
        self._life = 0
        self._suspects = Suspects(lambda: asyncio.get_running_loop().time())
        self._watched: dict[int, dict[Runner, None]] = {}
        self._runners: set[asyncio.Task[None]] = set()
        self._claiming: set[asyncio.Future[Sequence[Claim]]] = set()
        self._leaving = False
        self._stopping: asyncio.Event | None = None
        self._left: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Life

    async def run(self, started: threading.Event | None = None) -> None:
        """Work until `stop()`. Everything that was opened is closed on return.

        Raises:
            PersistenceError, MessagingError: the store or the broker cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping, self._left = asyncio.Event(), asyncio.Event()
        sys.setswitchinterval(0.001)
        async with AsyncExitStack() as stack:
            await self._open(stack)
            _log.info(
                "%s (%s) is at work on %s",
                self.name,
                self.id,
                self.location.folder,
                extra={"worker": self.id, "queues": list(self.queues)},
            )
            if started is not None:
                started.set()
            await self._stopping.wait()
            await self._drain()

    def stop(self) -> None:
        """Drain: take no more tasks, let running steps end, hand everything back, end."""
        self.call(lambda: self._stopping.set() if self._stopping else None)

    def leave(self) -> None:
        """End now; what was running runs again elsewhere, from its last checkpoint."""

        def leave() -> None:
            for event in (self._stopping, self._left):
                if event is not None:
                    event.set()

        self.call(leave)

    def call(self, function: Callable[[], Any]) -> None:
        """Call it on the worker's loop, from any thread; one that has ended does nothing any more."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(function)

    async def _open(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        self._registry.make_importable()
        self.store = await aside(open_store, self.location)
        stack.callback(self.store.close)
        self.store.on_batch = loop.call_soon_threadsafe
        communicator = await stack.enter_async_context(self._connected())
        self.side.also += [
            communicator.troubles,
            LoopWatch().sentences,
            StaleCode(self.location.folder).sentences,
        ]
        threads = StepThreads(MOST_THREADS, troubles=self.side)
        stack.callback(threads.shutdown, cancel_futures=True)
        loop.set_default_executor(StepThreads(DEFAULT_THREADS))
        self.stepper = Stepper(threads)
        self.outbox = Outbox(communicator, run_queue(self.id), self.feed)
        self.inbox = TaskBuffer(self.slots, self._claim)
        lock = self.location.state / "locks" / self.id
        lost = lambda: self.call(lambda: self._lost(lock))  # noqa: E731
        lease = Lease(self.store, self.id, lock, lost, self.side, self._moved)
        await aside(lease.__enter__)
        stack.push(lease.__exit__)
        await landed(self.store.register_worker(self._row(lock)))
        stack.push_async_callback(self._hand_on, lease)
        await self._listen(communicator, stack)
        stack.push_async_callback(self.side.close)
        Sweeper(self, communicator).start(self.side)

    def _connected(self) -> AwaitableCommunicator:
        return quince_messaging.connect_async(
            self.location.broker, prefix=self.location.names(self.store.identity)
        )

    def _moved(self, error: StoreMoved) -> None:
        """Nothing of what it does can be kept any more: it ends, and whoever has the store goes on."""
        _log.error("%s ends: %s", self.name, error, extra={"worker": self.id, "error": type(error).__name__})
        self.leave()

    def _lost(self, lock: Path) -> None:
        """This worker was declared dead (it was frozen, or cut off): drop everything and begin anew.

        Nothing of what it held can be written any more; others have it. What it has claimed since (a
        claim may have been on its way) is released too: nobody here would run it.
        """
        if self.draining:
            return
        _log.error(
            "%s was declared dead; it drops %d processes and registers anew",
            self.name,
            len(self.held),
            extra={"worker": self.id, "count": len(self.held)},
        )
        for task in self._runners:
            task.cancel()
        self.held.clear()
        self._life += 1
        landed(self.store.release_worker(self.id, died=False)).add_done_callback(self._released)
        self.store.register_worker(self._row(lock))

    def _released(self, done: asyncio.Future[Sequence[Woken]]) -> None:
        error = failure_of(done)
        if error is not None:
            _log.warning(
                "%s could not release what it had claimed: %s",
                self.name,
                error,
                extra={"worker": self.id, "error": type(error).__name__},
            )
        else:
            self.outbox.enqueue(woken for woken in done.result() if woken.owner is None)

    def _row(self, lock: Path) -> WorkerRow:
        now = time.time()
        return WorkerRow(
            id=self.id,
            host=host_name(),
            ospid=int(self.id.split(":")[-2]),
            name=self.name,
            queues=self.queues,
            slots=self.slots.total,
            lock=quoted(lock),
            state="running",
            started=now,
            heartbeat=now,
        )

    async def _listen(self, communicator: AsyncCommunicator, stack: AsyncExitStack) -> None:
        await communicator.add_rpc_subscriber(self._on_rpc, self.id)
        await communicator.subscribe(self._on_termination, TERMINATIONS)
        await communicator.subscribe(self._on_control, CONTROLS)
        if self.queues:
            desk = ControlServer(self, communicator)
            stack.push_async_callback(desk.close)
            await desk.open()
        for queue in self.queues:
            consumer = await communicator.consume(
                self._on_tasks, queue=queue, prefetch=max(8, self.slots.total)
            )
            self.inbox.add_consumer(consumer)
        stack.push_async_callback(self.inbox.close)

    async def _hand_on(self, lease: Lease) -> None:
        """Leave what a death leaves, and no less: all that it holds, or that is queued for it, is others'.

        While the store is away whoever sweeps next does it: the lock, which stays, tells that nobody is here.
        """
        self.draining = True  # a heartbeat that finds no row is no news any more
        try:
            woken = await asyncio.wait_for(landed(hand_on(self.store, self.id, died=False)), 2 * LAST_SECONDS)
        except (PersistenceError, TimeoutError) as error:
            _log.warning(
                "%s leaves what it holds to whoever comes: %s",
                self.name,
                error,
                extra={"worker": self.id, "error": type(error).__name__},
            )
            return
        lease.over = True
        self.outbox.enqueue(one for one in woken if one.owner is None)
        await self._send_last()

    async def _send_last(self) -> None:
        """What the outbox holds is sent, or not, if the broker is away: the sweeps make up for it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.outbox.drain(), LAST_SECONDS)

    async def _drain(self) -> None:
        assert self._left is not None
        self.draining = True
        await self.inbox.close()
        for runner in list(self.held.values()):
            runner.drain()
        if self._runners or self._claiming:
            _log.info(
                "%s drains: %d processes are between steps or in one",
                self.name,
                len(self._runners),
                extra={"worker": self.id, "count": len(self._runners)},
            )
            everything = asyncio.ensure_future(self._all_ended())
            leaving = asyncio.ensure_future(self._left.wait())
            waits: list[asyncio.Future[Any]] = [everything, leaving]
            began = asyncio.get_running_loop().time()
            while not (everything.done() or leaving.done()):
                left = (
                    began + self._grace() - asyncio.get_running_loop().time()
                )  # more may be granted meanwhile
                if left <= 0:
                    break
                await asyncio.wait(waits, timeout=min(left, 1.0), return_when=asyncio.FIRST_COMPLETED)
            everything.cancel()
            leaving.cancel()
        await self._abandon()
        await self._send_last()

    async def _all_ended(self) -> None:
        """No runner is left, and no claim is under way that would start one."""
        while self._runners or self._claiming:
            waits: list[asyncio.Future[Any]] = [*self._runners, *self._claiming]
            await asyncio.wait(waits)

    async def _abandon(self) -> None:
        """Runners that did not end in time are cancelled; nobody here begins a step any more."""
        self._leaving = True
        if self.held:
            _log.warning(
                "%s leaves %d processes in the middle of a step; they run again elsewhere",
                self.name,
                len(self.held),
                extra={"worker": self.id, "count": len(self.held)},
            )
        for task in self._runners:
            task.cancel()
        if self._runners:
            await asyncio.wait(list(self._runners), timeout=PROGRAMS_SECONDS)
        if self._claiming:
            await asyncio.wait(list(self._claiming), timeout=LAST_SECONDS)

    # Tasks

    def feed(self, pids: Sequence[int]) -> None:
        """Run these, as if tasks for them had come (used by `run()`, which has no queue)."""
        self.inbox.put_pids(pids)

    def _on_tasks(self, tasks: Sequence[TaskHandle]) -> None:
        known = []
        for task in tasks:
            pid = pid_of(task.body)
            if pid is None:
                task.dead_letter(f"not a task of this engine: {shown(task.body)}")
            else:
                known.append((pid, task))
        self.inbox.put(known)

    def _claim(self, batch: Sequence[tuple[int, TaskHandle | None]]) -> None:
        """Claim what the inbox gives (a slot is taken for each); then acknowledge its tasks."""
        life = self._life
        try:
            landing = landed(self.store.claim([pid for pid, _ in batch], self.id))
        except Exception as error:
            self._unclaimed(batch, error)
            return
        self._claiming.add(landing)
        landing.add_done_callback(lambda done: self._claimed(batch, done, life))

    def _claimed(
        self, batch: Sequence[tuple[int, TaskHandle | None]], done: asyncio.Future[Sequence[Claim]], life: int
    ) -> None:
        self._claiming.discard(done)
        if (error := failure_of(done)) is not None:
            self._unclaimed(batch, error)
            return
        self._claims.over()
        claims = done.result() if life == self._life else ()  # else released, with the life that took them
        if self._leaving:
            claims = ()  # they are handed on with the rest
        for _, task in batch:
            if task is not None:
                task.ack()
        for claim in sorted(claims, key=lambda claim: -claim.row.deaths):  # who wants to be alone goes first
            try:
                self._start(claim)
            except Exception:  # nobody drives it: a sweep gives it back
                _log.exception(
                    "process %s cannot be begun",
                    claim.row.pid,
                    extra={
                        "pid": claim.row.pid,
                        "class": claim.row.class_path,
                        "queue": claim.row.queue,
                        "worker": self.id,
                    },
                )
                self.slots.give()
        self.slots.give(len(batch) - len(claims))

    def _unclaimed(self, batch: Sequence[tuple[int, TaskHandle | None]], error: BaseException) -> None:
        """They are kept for a while, and their slots with them, so that nobody is asked again at once."""
        pause = 0.0 if self.draining else self._claims.after(error)
        asyncio.get_running_loop().call_later(pause, self._put_back, batch)

    def _put_back(self, batch: Sequence[tuple[int, TaskHandle | None]]) -> None:
        """They could not be claimed. Others may take the tasks; what has none is tried here again."""
        for _, task in batch:
            if task is not None:
                task.requeue()
        self.slots.give(len(batch))
        if not self.draining:
            self.inbox.put_pids([pid for pid, task in batch if task is None])

    def _start(self, claim: Claim) -> None:
        row = claim.row
        empty = all(runner.phase is Phase.LINGERING for runner in self.held.values())
        entry = self._suspects.admit(row.pid, row.deaths, kept=self.slots.kept, empty=empty)
        if entry is Entry.ELSEWHERE:
            self._offer(claim)
            return
        runner = Runner(self, claim, alone=entry is Entry.ALONE)
        self.held[runner.pid] = runner
        if self.draining:
            runner.drain()
        task = asyncio.get_running_loop().create_task(runner.run(), name=f"process {runner.pid}")
        self._runners.add(task)
        task.add_done_callback(lambda done: self._ended(runner, done))

    def _offer(self, claim: Claim) -> None:
        """It is kept apart from another one here, of which workers have died: let others take it."""
        self.slots.give()
        self.store.release(claim.row.pid, self.id, claim.row.epoch)
        asyncio.get_running_loop().call_later(suspects.SECONDS, self.outbox.enqueue, [claim.row])

    def _ended(self, runner: Runner, task: asyncio.Task[None]) -> None:
        self._runners.discard(task)
        self._suspects.ended(runner.pid)
        if task.cancelled() and self.draining:
            return  # it is let go with the others
        if self.held.get(runner.pid) is runner:
            del self.held[runner.pid]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _log.error(
                "process %s: the engine failed",
                runner.pid,
                exc_info=error,
                extra={"pid": runner.pid, "worker": self.id, "error": type(error).__name__},
            )

    @property
    def idle(self) -> bool:
        """It drives nothing, claims nothing, and has no task at hand."""
        return self.inbox is not None and self.inbox.empty and not (self.held or self._claiming)

    # What runners need

    async def load_class(self, path: str) -> type[Process]:
        """The class, imported on a thread if it is not there yet (an import may take seconds)."""
        found = self._registry.known(path)
        if found is None:
            found = await self.stepper.aside(self._import, path)
        cls: type[Process] = class_of(found)
        return cls

    def _import(self, path: str) -> Any:
        with self._importing:
            return self._registry.load_class(path)

    def new_pid(self, *, within: float | None = None) -> int:
        pids: Sequence[int] = self.store.allocate_pids(1, within=within)
        return pids[0]

    def name_of(self, cls: Any) -> str:
        return self._registry.name_of(cls)

    def excepted(self, pid: int, error: BaseException) -> None:
        """A process ends with this exception."""
        if pid in self.errors:
            self.errors[pid] = error

    async def load_children(self, children: Sequence[ChildProcess], pid: int) -> ProcessRow | None:
        """Take in how they ended, and outputs that are small; with the same read, how the process that looks
        at them stands."""
        pids = list({child.pid for child in children} | {pid})
        small = min(SMALL_OUTPUTS, SMALL_TOGETHER // len(pids))
        found = await aside(partial(self.store.results, pids, small=small))
        results = {result.row.pid: result for result in found}
        for child in children:
            if child.pid in results:
                child.load(results[child.pid])
        return results[pid].row if pid in results else None

    def watch(self, runner: Runner, pids: Sequence[int]) -> None:
        for pid in pids:
            self._watched.setdefault(pid, {})[runner] = None

    def unwatch(self, runner: Runner, pids: Sequence[int]) -> None:
        for pid in pids:
            watchers = self._watched.get(pid)
            if watchers is not None:
                watchers.pop(runner, None)
                if not watchers:
                    del self._watched[pid]

    def wake(self, outcome: StepOutcome) -> None:
        """What a commit did to other processes: those made ready go on or get a task, those that it
        killed are told."""
        unowned = []
        for woken in outcome.woken:
            if woken.owner is None:
                unowned.append(woken)
            elif woken.owner == self.id and woken.pid in self.held:
                self.held[woken.pid].ready()
        if unowned:
            self.outbox.enqueue(unowned)
        self.wake_signalled(outcome.signalled)
        for killed in outcome.cascade:
            if killed.applied and killed.before is not None:
                self.outbox.announce(change_of(killed.pid, killed.before.state, State.KILLED))
            if killed.owner == self.id and killed.pid in self.held:
                self.held[killed.pid].nudge(Control.KILL)
            elif killed.owner is not None:
                self.outbox.tell(killed.owner, {"verb": Control.KILL.value, "pids": [killed.pid]})

    def wake_signalled(self, woken: Sequence[Woken]) -> None:
        """Those that signals have made ready go on, get a task, or their worker is told."""
        for one in woken:
            if one.owner is None:
                self.outbox.enqueue([one])
            elif one.owner == self.id and one.pid in self.held:
                self.held[one.pid].look()
            else:
                self.outbox.tell(one.owner, look_message(one.pid))

    # Messages

    def _on_termination(self, message: BroadcastMessage) -> None:
        for pid in pids_of(message.body, message.sender):
            for runner in list(self._watched.get(pid, ())):
                runner.child_ended(pid)

    def _on_control(self, message: BroadcastMessage) -> None:
        verb = _verb((message.subject or "").partition(".")[2])
        if verb is not None:
            for runner in list(self.held.values()):
                runner.nudge(verb)

    async def _on_rpc(self, _communicator: Any, body: Any) -> dict[str, Any]:
        """`{"verb": "pause", "pids": [...], "wait": seconds}`: which of them no longer run here."""
        if body == ARE_YOU_THERE:
            return {"worker": self.id}
        asked, pids, patience = asked_of_worker(body)
        if asked == "run":
            self.feed(pids)
            return {"worker": self.id}
        runners = [self.held[pid] for pid in pids if pid in self.held]
        if asked == "look":
            for runner in runners:
                runner.look()
            return {"worker": self.id}
        verb = _verb(asked)
        if verb is None:
            raise ValueError(f"a worker takes pause, play and kill, not {shown(asked)}")
        for runner in runners:
            runner.nudge(verb)
        if verb is not Control.PLAY and runners and patience:
            waits = [asyncio.ensure_future(runner.settled.wait()) for runner in runners]
            _, late = await asyncio.wait(waits, timeout=min(patience, APPLY_SECONDS))
            for task in late:
                task.cancel()
        return {"worker": self.id, "still": [r.pid for r in runners if not r.settled.is_set()]}


def _verb(text: Any) -> Control | None:
    return Control(text) if isinstance(text, str) and text in {"pause", "play", "kill"} else None
