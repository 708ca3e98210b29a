"""A store, a communicator and a stepper that pass points on their way.

They are put in the place of the real ones, which they use, in an operating-system process that lives
for one test; nothing of this is there when nobody asks for it.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from msgspec import structs

import quince_messaging
from quince.hosts.stepper import InlineStepper, StepEnd
from quince.processes.execution import Execution
from quince.testing.points import Points
from quince.testing.stand_in import stand_in
from quince.worker import inline_steps
from quince.worker import worker as worker_module
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.clients.task_proxy import ForwardedTask
from quince_messaging.contract import (
    EVERYTHING,
    BroadcastHandler,
    BroadcastMessage,
    SubjectFilter,
    TaskBatchCallback,
    TaskConsumer,
    TaskHandle,
)
from quince_persistence.records import Claim, NewEvent
from quince_persistence.records.steps import Step, StepOutcome
from quince_persistence.records.workers import Sweep
from quince_persistence.store import Store

STEP_EVENT = "crash-test"
"""The kind of a line of history that is committed with each step, and names it."""

REPEATED = "again "
"""Begins the line of a journal that tells of a once-block that ran after its result was recorded."""

WRITES = {
    "insert": "insert of processes",
    "release": "release of a claim",
    "wake": "count-off of a timer",
    "send": "sending of signals",
    "fire": "firing of a schedule",
    "register_worker": "registration of the worker",
    "release_worker": "release of a worker",
}


class Journal:
    """Which steps begin, in a file that outlives the worker; and which one each process is in.

    Args:
        file: Gets a line `pid label` before each step.
    """

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._running: dict[int, str] = {}
        self._classes: dict[int, str] = {}

    def began(self, process: Execution) -> None:
        label = process.label() or "end"
        self._running[process.pid] = label
        os.write(self._file, f"{process.pid} {label}\n".encode())

    def took(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._classes[claim.row.pid] = claim.row.class_path.rpartition(":")[2].rpartition(".")[2]

    def repeated(self, pid: int, key: str) -> None:
        """A once-block ran though its result is recorded."""
        os.write(self._file, f"{REPEATED}{pid} {key}\n".encode())

    @staticmethod
    def begun(file: Path) -> Mapping[int, list[str]]:
        """The steps that were begun, of each process."""
        begun: dict[int, list[str]] = defaultdict(list)
        for line in file.read_text().splitlines():
            if not line.startswith(REPEATED):
                pid, _, label = line.partition(" ")
                begun[int(pid)].append(label)
        return begun

    def step_of(self, pid: int) -> str | None:
        """The step whose end is to be committed now."""
        return self._running.pop(pid, None)

    def name_of(self, pid: int) -> str:
        return self._classes.get(pid, "a process")


class FaultyStore:
    """A store with points around its writes. Every commit of a step carries the name of the step."""

    def __init__(self, store: Store, points: Points, journal: Journal) -> None:
        self._store = store
        self._points = points
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in WRITES:
            return method
        return lambda *args, **kwargs: self._passing(WRITES[name], lambda: method(*args, **kwargs))

    @property
    def on_batch(self) -> Any:
        return self._store.on_batch

    @on_batch.setter
    def on_batch(self, call: Any) -> None:
        self._store.on_batch = call

    def allocate_pids(self, count: int, *, within: float | None = None) -> Sequence[int]:
        with self._points.around("allocation of pids"):
            return self._store.allocate_pids(count, within=within)

    def claim(self, pids: Sequence[int], owner: str, **which: Any) -> Future[Sequence[Claim]]:
        claiming = self._passing("claim of processes", lambda: self._store.claim(pids, owner, **which))
        claiming.add_done_callback(lambda done: self._journal.took(done.result()))
        return claiming

    def commit(self, step: Step) -> Future[StepOutcome]:
        label = self._journal.step_of(step.pid)
        if label is not None:
            mark = NewEvent(STEP_EVENT, {"step": label})
            step = structs.replace(step, events=[*step.events, mark])
        what = f"commit of {self._journal.name_of(step.pid)}.{label or step.state.value}"
        return self._passing(what, lambda: self._store.commit(step))

    def sweep(self, **times: float) -> Future[Sweep]:
        """A point after one that has ended something: nobody has been told of that."""
        sweeping = self._store.sweep(**times)
        sweeping.add_done_callback(self._swept)
        return sweeping

    def _swept(self, done: Future[Sweep]) -> None:
        if done.exception() is None and done.result().killed:
            self._points.after("end of what a deadline is over for")

    def record_once(
        self,
        pid: int,
        owner: str,
        epoch: int,
        key: str,
        result: bytes,
        contents: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Future[bool]:
        found = self._store.recorded(pid, key)
        if found is not None and found.result is not None:
            self._journal.repeated(pid, key)
        what = f"record of the once-block {key!r}"
        return self._passing(what, lambda: self._store.record_once(pid, owner, epoch, key, result, contents))

    def _passing(self, what: str, write: Callable[[], Future[Any]]) -> Future[Any]:
        self._points.before(what)
        future = write()
        future.add_done_callback(lambda _: self._points.after(what))
        return future


class FaultyCommunicator:
    """A communicator with points around all that it sends and receives."""

    def __init__(self, communicator: AwaitableCommunicator, points: Points) -> None:
        self._communicator = communicator
        self._points = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._communicator, name)

    async def __aenter__(self) -> Self:
        await self._communicator.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._communicator.__aexit__(kind, error, trace)

    async def send_tasks(self, bodies: Sequence[Any], *, queue: str, priority: int = 0) -> None:
        with self._points.around("sending of tasks"):
            await self._communicator.send_tasks(bodies, queue=queue, priority=priority)

    async def broadcast_many(self, messages: Sequence[BroadcastMessage]) -> None:
        with self._points.around("sending of broadcasts"):
            await self._communicator.broadcast_many(messages)

    async def rpc_cast(self, recipient_id: Any, msg: Any) -> None:
        with self._points.around("sending of a call"):
            await self._communicator.rpc_cast(recipient_id, msg)

    async def consume(self, deliver: TaskBatchCallback, *, queue: str, prefetch: int) -> TaskConsumer:
        def received(tasks: Sequence[TaskHandle]) -> None:
            with self._points.around("receipt of tasks"):
                deliver([FaultyTask(task, self._points) for task in tasks])

        return await self._communicator.consume(received, queue=queue, prefetch=prefetch)

    async def subscribe(self, handler: BroadcastHandler, wanted: SubjectFilter = EVERYTHING) -> str:
        def received(message: BroadcastMessage) -> None:
            with self._points.around(f"receipt of {message.subject}"):
                handler(message)

        return await self._communicator.subscribe(received, wanted)

    async def add_rpc_subscriber(self, subscriber: Callable[..., Any], identifier: Any = None) -> str:
        async def received(communicator: Any, body: Any) -> Any:
            with self._points.around("answer to a call"):
                return await subscriber(communicator, body)

        return await self._communicator.add_rpc_subscriber(received, identifier)


class FaultyTask(ForwardedTask):
    """A task with points around its settlement."""

    def __init__(self, task: TaskHandle, points: Points) -> None:
        super().__init__(task)
        self._points = points

    def ack(self, result: Any = None) -> None:
        with self._points.around("acknowledgement of a task"):
            super().ack(result)

    def requeue(self) -> None:
        with self._points.around("return of a task"):
            super().requeue()

    def dead_letter(self, reason: str) -> None:
        with self._points.around("burial of a task"):
            super().dead_letter(reason)


class NotingStepper(InlineStepper):
    """Tells the journal of every step before it begins."""

    def __init__(self, journal: Journal, threads: Executor) -> None:
        super().__init__(threads)
        self._journal = journal

    async def step(self, process: Execution) -> StepEnd:
        self._journal.began(process)
        return await super().step(process)


def install(points: Points, journal: Journal) -> list[FaultyCommunicator]:
    """From now on, the workers of this operating-system process pass these points.

    Returns:
        The communicators that they connect, as they do.
    """
    connect = quince_messaging.connect_async
    opened: list[FaultyCommunicator] = []

    def open_faulty(location: Location) -> FaultyStore:
        return FaultyStore(open_store(location), points, journal)

    def connect_faulty(uri: str, *, prefix: str | None = None) -> FaultyCommunicator:
        opened.append(FaultyCommunicator(connect(uri, prefix=prefix), points))
        return opened[-1]

    stand_in(worker_module, "open_store", open_faulty)
    stand_in(inline_steps, "InlineStepper", functools.partial(NotingStepper, journal))
    stand_in(quince_messaging, "connect_async", connect_faulty)
    return opened
