"""A worker: takes tasks while it has free slots, claims their processes, and drives them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack

import quince_messaging
from quince.concurrency import StepThreads, aside, close_aside
from quince.hosts import checkpoint_check as roundtrip
from quince.messages import CONTROLS, TERMINATIONS, run_queue
from quince.processes.programs import TERM_SECONDS
from quince.processes.running_step import RunningStep
from quince.recovery.lease import new_worker_id
from quince.recovery.sweeper import Sweeper
from quince.settings import DEFAULT_SLOTS, GRACE_SECONDS, LINGER_SECONDS
from quince.troubles import sentences_of
from quince.worker.calling_thread import CallingThread
from quince.worker.control_server import ControlServer
from quince.worker.host_pool import HostPool
from quince.worker.inline_steps import InlineSteps
from quince.worker.intake import Intake
from quince.worker.lent_slots import LentSlots
from quince.worker.notices import NoticeRounds
from quince.worker.observers import Observers
from quince.worker.observing import ObservedOutbox, ObservedSteps
from quince.worker.outbox import Outbox
from quince.worker.registration import Registration, worker_row
from quince.worker.retention import RetentionRounds
from quince.worker.rpc_server import RpcServer
from quince.worker.runner import Runner
from quince.worker.seats import Seat
from quince.worker.slots import Slots
from quince.worker.stale_code import StaleCode
from quince.worker.tellings import Tellings
from quince.worker.wakeups import WakeUps
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_messaging.contract import AsyncCommunicator
from quince_messaging.errors import MessagingError
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.contract import StoreContract
from quince_persistence.errors import PersistenceError, StoreMoved
from quince_persistence.records import Claim

_log = StructuredLogger("quince.worker")

LAST_SECONDS = 5.0
"""Seconds that a worker that leaves waits for an answer of the store, or of the broker."""
PROGRAMS_SECONDS = 2 * TERM_SECONDS + LAST_SECONDS
"""Seconds that it waits for steps that were cut off: they may have programs to end."""
MOST_THREADS = 10_000
"""Started as they are needed. The slots limit how many are at work; a step that was fenced by force
keeps its thread until it ends, and must not take it from others."""
DEFAULT_THREADS = 64
"""Of the loop's default executor: names of hosts are looked up there, and `asyncio.to_thread` of users'
coroutines goes there that run here. Nobody waits for them when the program ends."""


class Worker:
    """One worker. `run()` lasts until `stop()`; `leave()` ends it at once.

    Args:
        location: The workspace.
        slots: How many processes run at once (waiting ones hold none).
        queues: The queues it consumes; none for a worker that is fed by hand.
        name: For people; also its log's name.
        linger: Seconds that a waiting process stays in memory.
        grace: How many seconds steps that run get when it stops.
        template: Steps run in hosts that are forked from it; else in this program.
        registry: In this program, loads classes.
        calling: In this program, functions run there if they can; else in threads.
        outer: The step in which this worker works, if it does.
        checked: Round-trip each checkpoint, unless `QUINCE_CHECK` says otherwise.

    Attributes:
        runners: What drives a process here, by pid.
        errors: The exceptions that ended processes, for those pids that stand in it (`run()` puts its own).
        troubles: What keeps processes from going on just now, by their pids.
        failure: Why it has ended by itself, if it has.
        store, outbox, wakeups, sweeper: There since `run()` has begun.
    """

    store: StoreContract
    outbox: Outbox
    wakeups: WakeUps
    tellings: Tellings
    sweeper: Sweeper

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
        template: socket.socket | None = None,
        calling: CallingThread | None = None,
        outer: RunningStep | None = None,
    ) -> None:
        self.id = new_worker_id()
        self.location = location
        self.queues = tuple(queues)
        self.name = name
        self.linger = linger
        self._checked = roundtrip.wanted(checked)
        self.draining = False
        self.slots = Slots(slots)
        self.side = SideTasks(_log, (PersistenceError, MessagingError))
        self.runners: dict[int, Runner] = {}
        self.errors: dict[int, BaseException | None] = {}
        self.troubles: dict[int, str] = {}
        self.failure: str | None = None
        self._grace = grace
        self._template = template
        self._calling = calling
        self._hosts: HostPool | None = None
        self._steps: HostPool | InlineSteps | ObservedSteps
        self._observers = Observers()
        self._registry = registry
        self._intake = Intake(self, self.runners)
        self.lent = LentSlots(self, self.runners, self._intake.buffer.put_first, outer)
        self._registration: Registration
        self._stopping, self._left = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.side.also.append(lambda: sentences_of(self.troubles))

    # Life

    async def run(self, started: threading.Event | None = None) -> None:
        """Work until `stop()`. Everything that was opened is closed on return.

        Raises:
            PersistenceError, MessagingError: the store or the broker cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(close_aside)
            try:
                await self._open(stack)
                _log.info(
                    "%(worker_name)s (%(worker)s) is at work on %(file)s",
                    worker=self.id,
                    queues=list(self.queues),
                    worker_name=self.name,
                    file=self.location.folder,
                )
                if started is not None:
                    started.set()
                await self._stopping.wait()
                await self._drain()
            finally:
                self.draining = True  # a heartbeat that finds no row is no news any more

    def stop(self) -> None:
        """Drain: take no more tasks, let running steps end, hand everything back, end."""
        self.call(self._stopping.set)

    def leave(self) -> None:
        """End now; what was running runs again elsewhere, from its last checkpoint."""
        self.call(self._left.set)
        self.stop()

    def fail(self, reason: str) -> None:
        """End now, since nothing can be run here any more."""
        if self.failure is None:
            self.failure = reason
            _log.error(
                "%(worker_name)s ends: %(reason)s", worker=self.id, reason=reason, worker_name=self.name
            )
            self.leave()

    def call(self, function: Callable[[], object]) -> None:
        """Call it on the worker's loop, from any thread; one that has ended does nothing any more."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(function)

    def feed(self, pids: Sequence[int]) -> None:
        """Run these, as if tasks for them had come (used by `run()`, which has no queue)."""
        self._intake.buffer.put_pids(pids)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """On which it runs, since `run()` has begun."""
        assert self._loop is not None
        return self._loop

    async def consume(self, queue: str) -> None:
        """Take the tasks of one more queue."""
        if queue not in self.queues:
            self.queues = (*self.queues, queue)
            await self._consume(queue)

    async def look(self) -> None:
        """See at once to all that is due; tests have moved the clock."""
        self._registration.beat()
        for runner in list(self.runners.values()):
            if runner.waiting.is_due:
                runner.waiting.wake()
        await self.sweeper.sweep()

    @property
    def step_hosts(self) -> int:
        """In how many programs its steps run."""
        return 0 if self._hosts is None else self._hosts.count

    @property
    def idle(self) -> bool:
        """It drives nothing, claims nothing, and has no task at hand."""
        return self._intake.idle

    async def _open(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        store = self.store = await aside(open_store, self.location)
        stack.callback(store.close)
        store.on_batch = loop.call_soon_threadsafe
        names = self.location.names(store.identity)
        communicator = await stack.enter_async_context(
            quince_messaging.connect_async(self.location.broker, prefix=names)
        )
        self.side.also += [communicator.troubles, self.lent.sentences, StaleCode().sentences]
        self._steps = self._in_hosts(stack) if self._template is not None else self._inline(stack)
        self.outbox = self._new_outbox(communicator)
        self.wakeups = WakeUps(self.id, self.runners, self.outbox)
        self.tellings = Tellings(self)
        await self._let_look_on(stack)
        self._registration = self._new_registration()  # it may be declared dead before that is open
        await stack.enter_async_context(self._registration)
        await self._listen(communicator, stack)
        stack.push_async_callback(self.side.close)
        self.sweeper = Sweeper(self, communicator)
        self.sweeper.start(self.side)
        if self.queues:  # a `run()` tidies nothing up
            RetentionRounds(self).start(self.side)
            NoticeRounds(self).start(self.side)

    def _new_outbox(self, communicator: AsyncCommunicator) -> Outbox:
        kind = ObservedOutbox if self.location.is_observed else Outbox
        return kind(communicator, run_queue(self.id), self.feed)

    async def _let_look_on(self, stack: AsyncExitStack) -> None:
        """Those for whom `quince.toml` says so."""
        if not self.location.is_observed:
            return
        ends = ExitStack()
        stack.push_async_callback(aside, ends.close)
        await aside(self._observers.open, self, ends)
        observed = self._steps = ObservedSteps(self._steps, self._observers.each)
        if isinstance(self.outbox, ObservedOutbox):
            self.outbox.observed = observed

    def _in_hosts(self, stack: AsyncExitStack) -> HostPool:
        assert self._template is not None
        self._hosts = HostPool(self, self._template, checked=self._checked)
        stack.callback(self._hosts.close)
        asyncio.get_running_loop().set_default_executor(StepThreads(DEFAULT_THREADS, "quince-default"))
        return self._hosts

    def _inline(self, stack: AsyncExitStack) -> InlineSteps:
        threads = StepThreads(MOST_THREADS, troubles=self.side)
        stack.callback(threads.shutdown, cancel_futures=True)
        asyncio.get_running_loop().set_default_executor(StepThreads(DEFAULT_THREADS))
        functions = threads if self._calling is None else self._calling.or_else(threads)
        registry = self._registry or ClassLoader(self.location.folder, self.location.allowed)
        return InlineSteps(self, registry, self.lent, functions, checked=self._checked)

    def _new_registration(self) -> Registration:
        lock = self.location.state / "locks" / self.id
        return Registration(
            self.store,
            self.outbox,
            self.side,
            lambda: worker_row(
                self.id, self.name, self.queues, self.slots.total, lock, self._observers.metrics_address
            ),
            lock,
            on_lost=lambda: self.call(self._start_anew),
            on_moved=self._moved,
            hosts=self._hosts,
        )

    async def _listen(self, communicator: AsyncCommunicator, stack: AsyncExitStack) -> None:
        rpc = RpcServer(self.id, self.runners, self.feed, self._observers.on_control)
        await communicator.add_rpc_subscriber(rpc.on_call, self.id)
        await communicator.subscribe(self.wakeups.on_termination, TERMINATIONS)
        await communicator.subscribe(rpc.on_control, CONTROLS)
        if self.queues:
            control = ControlServer(self, communicator)
            stack.push_async_callback(control.close)
            await control.open()
        self._communicator = communicator
        for queue in self.queues:
            await self._consume(queue)
        stack.push_async_callback(self._intake.buffer.close)

    async def _consume(self, queue: str) -> None:
        prefetch = max(8, self.slots.total)
        consumer = await self._communicator.consume(self._intake.on_tasks, queue=queue, prefetch=prefetch)
        self._intake.buffer.add_consumer(consumer)

    def _moved(self, error: StoreMoved) -> None:
        """Nothing of what it does can be kept any more: it ends, and other workers go on."""
        _log.error("%(worker_name)s ends: %(error)s", worker=self.id, error=error, worker_name=self.name)
        self.leave()

    def _start_anew(self) -> None:
        """This worker was declared dead (it was frozen, or cut off): drop everything and register again.

        It can write nothing of its processes any more: others have them.
        """
        if self.draining:
            return
        _log.error(
            "%(worker_name)s was declared dead; it drops %(count)d processes and registers anew",
            worker=self.id,
            count=len(self.runners),
            worker_name=self.name,
        )
        self._intake.forget()
        if self._hosts is not None:
            self._hosts.end_all()
        self._registration.renew()

    async def _drain(self) -> None:
        self.draining = True
        await self._intake.buffer.close()
        self._intake.drain()
        if at_work := self._intake.at_work:
            _log.info(
                "%(worker_name)s drains: %(count)d processes are between steps or in one",
                worker=self.id,
                count=at_work,
                worker_name=self.name,
            )
            await self._wait_for_steps()
        if self.runners:
            _log.warning(
                "%(worker_name)s leaves %(count)d processes in the middle of a step; unless they are "
                "killed, they run again elsewhere",
                worker=self.id,
                count=len(self.runners),
                worker_name=self.name,
            )
        await self._intake.abandon(steps=PROGRAMS_SECONDS, claims=LAST_SECONDS)
        await self.outbox.drain()

    async def _wait_for_steps(self) -> None:
        """Until all have ended, the time that they get is over, or the worker is to leave."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        waits = [asyncio.ensure_future(self._intake.all_ended()), asyncio.ensure_future(self._left.wait())]
        while not any(wait.done() for wait in waits):
            rest = began + self._grace() - loop.time()  # more may be granted meanwhile
            if rest <= 0:
                break
            await asyncio.wait(waits, timeout=min(rest, 1.0), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    # What its parts need (see `Owner`)

    def seat(self, claim: Claim) -> Seat:
        return self._steps.seat(claim)

    def decline(self, pid: int) -> None:
        self._intake.decline(pid)

    def excepted(self, pid: int, error: BaseException) -> None:
        if pid in self.errors:
            self.errors[pid] = error
