"""What a worker sends after its commits: tasks for the queue, broadcasts of terminations.

Both are doorbells: the store knows it all already. They are gathered and sent in batches; while the
broker is away they are dropped, once with a warning, and the sweeps make up for them.
"""

from __future__ import annotations

import asyncio
import logging
import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard

from quince.landing import failure_of
from quince.text import storable
from quince_messaging.contract import AsyncCommunicator, BroadcastMessage
from quince_messaging.errors import MessagingError, UnroutableError
from quince_persistence.records import ControlOutcome, NewProcess, ProcessRow, State, Woken

_log = logging.getLogger("quince.worker")


def task_for(pid: int) -> dict[str, int]:
    """The body of the task that runs, or goes on with, a process."""
    return {"pid": pid}


LARGEST_PID = 2**63 - 1
DIGITS = 20


def is_pid(value: Any) -> TypeGuard[int]:
    """Whether what came over the wire can be a pid."""
    return type(value) is int and 0 < value <= LARGEST_PID


def pid_of(body: Any) -> int | None:
    """The pid in a task's body; None if the body is not one of ours."""
    pid = body.get("pid") if isinstance(body, dict) else None
    return pid if is_pid(pid) else None


def asked_of_worker(body: Any) -> tuple[Any, list[int], float]:
    """What a call asks a worker to do, with which processes, and how many seconds its caller waits.

    Raises:
        ValueError: it is no call to a worker; says what is wrong.
    """
    asked: dict[Any, Any] = body if isinstance(body, dict) else {"pids": None}
    pids: Any = asked.get("pids", [])
    wait: Any = asked.get("wait", 0)
    if not isinstance(pids, list) or not all(map(is_pid, pids)):
        raise ValueError(f"not a call to a worker: {shown(body)}")
    if type(wait) not in (int, float) or not 0 <= wait < float("inf"):
        raise ValueError(f"a worker is waited for some seconds, not {shown(wait)}")
    return asked.get("verb"), pids, float(wait)


def shown(body: Any) -> str:
    """What came over the wire, for a sentence: whatever it is, however large and deep."""
    try:
        return storable(reprlib.repr(body))[:200]
    except Exception:
        return f"a {type(body).__name__} that cannot be shown"


RUN_QUEUE = "run:"
"""Queue names that start so belong to one `run()`; the rest is the id of its worker."""


def run_queue(worker_id: str) -> str:
    """The queue of the processes that one `run()` drives."""
    return RUN_QUEUE + worker_id


def run_message(bodies: Sequence[dict[str, int]]) -> dict[str, Any]:
    """The RPC that tells a worker to run these, in place of a task on a queue."""
    return {"verb": "run", "pids": [body["pid"] for body in bodies]}


def look_message(pid: int) -> dict[str, Any]:
    """The RPC that tells a worker to ask the store whether a process that lingers there may go on."""
    return {"verb": "look", "pids": [pid]}


def change_of(pid: int, before: State, after: State) -> BroadcastMessage:
    """The broadcast of a change of a process: `state_changed.<from>.<to>`, the sender is its pid."""
    return BroadcastMessage(
        body={"pid": pid, "state": after.value},
        sender=str(pid),
        subject=subject_of(before, after),
        correlation_id=None,
    )


def subject_of(before: State, after: State) -> str:
    """Under which such a change is broadcast."""
    return f"state_changed.{before.value}.{after.value}"


GROUPED = 50
"""From so many like changes on, one broadcast tells of `AT_ONCE` of them."""
AT_ONCE = 5_000


def changes_of(outcomes: Sequence[ControlOutcome]) -> list[BroadcastMessage]:
    """The broadcasts of what a control has applied. Of many like changes one message tells, whose body
    has `pids` and whose sender is nobody."""
    alike: dict[tuple[State, State], list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.applied and outcome.refused is None and outcome.before and outcome.after:
            alike[outcome.before.state, outcome.after.state].append(outcome.pid)
    messages: list[BroadcastMessage] = []
    for (before, after), pids in alike.items():
        if len(pids) < GROUPED:
            messages += [change_of(pid, before, after) for pid in pids]
        else:
            messages += [
                BroadcastMessage({"pids": part, "state": after.value}, None, subject_of(before, after), None)
                for part in (pids[start : start + AT_ONCE] for start in range(0, len(pids), AT_ONCE))
            ]
    return messages


def pids_of(body: Any, sender: Any) -> Sequence[int]:
    """Whose change a broadcast tells."""
    if isinstance(body, dict) and isinstance(body.get("pids"), list):
        return [pid for pid in body["pids"] if is_pid(pid)]
    if isinstance(sender, str) and sender.isascii() and sender.isdigit() and len(sender) < DIGITS:
        return [int(sender)]
    return [sender] if is_pid(sender) else []


class Outbox:
    """Gathers what is to be sent, and sends it, in the background of a loop.

    Args:
        own_queue: What is for this queue is given to `feed` instead of being sent.
    """

    def __init__(
        self, communicator: AsyncCommunicator, own_queue: str, feed: Callable[[Sequence[int]], None]
    ) -> None:
        self._communicator = communicator
        self._own_queue = own_queue
        self._feed = feed
        self._tasks: dict[tuple[str, int], list[Any]] = defaultdict(list)
        self._broadcasts: list[BroadcastMessage] = []
        self._calls: list[tuple[str, Any]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._failing = False

    def enqueue(self, processes: Iterable[NewProcess | ProcessRow | Woken]) -> None:
        """Put their tasks on their queues, soon."""
        own = []
        for process in processes:
            if process.queue == self._own_queue:
                own.append(process.pid)
            else:
                self._tasks[(process.queue, process.priority)].append(task_for(process.pid))
        if own:
            self._feed(own)
        self._ring()

    def announce(self, message: BroadcastMessage) -> None:
        """Broadcast it, soon."""
        self._broadcasts.append(message)
        self._ring()

    def tell(self, worker_id: str, message: Any) -> None:
        """Call a worker, soon, without an answer."""
        self._calls.append((worker_id, message))
        self._ring()

    async def drain(self) -> None:
        """Everything gathered so far has been sent, or given up."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])
            await asyncio.sleep(0)  # it is begun again if something is left

    @property
    def _anything(self) -> bool:
        return bool(self._tasks or self._broadcasts or self._calls)

    def _ring(self) -> None:
        if self._flusher is None and self._anything:
            self._flusher = asyncio.get_running_loop().create_task(self._flush(), name="outbox")
            self._flusher.add_done_callback(self._flushed)

    def _flushed(self, done: asyncio.Task[None]) -> None:
        self._flusher = None
        if (error := failure_of(done)) is not None:  # doorbells are lost: the sweeps make up for them
            _log.error("what was to be sent is lost: %r", error)
        if not done.cancelled():
            self._ring()

    async def _flush(self) -> None:
        while self._anything:
            tasks, self._tasks = self._tasks, defaultdict(list)
            broadcasts, self._broadcasts = self._broadcasts, []
            calls, self._calls = self._calls, []
            sends = (self._send_broadcasts(broadcasts), self._send_tasks(tasks), self._send_calls(calls))
            for outcome in await asyncio.gather(*sends, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    _log.error("some of what was to be sent is lost", exc_info=outcome)

    async def _send_tasks(self, tasks: dict[tuple[str, int], list[Any]]) -> None:
        for (queue, priority), bodies in tasks.items():
            try:
                if queue.startswith(RUN_QUEUE):
                    await self._communicator.rpc_cast(queue.removeprefix(RUN_QUEUE), run_message(bodies))
                else:
                    await self._communicator.send_tasks(bodies, queue=queue, priority=priority)
                self._recovered()
            except UnroutableError:
                _log.info("the program that runs %s has gone", bodies)
            except MessagingError as error:
                self._failed(error)
            except Exception as error:  # perhaps a queue that no broker has, of a store made elsewhere
                _log.error("%d tasks cannot be put on queue %r: %s", len(bodies), queue, error)

    async def _send_calls(self, calls: list[tuple[str, Any]]) -> None:
        for worker_id, message in calls:
            try:
                await self._communicator.rpc_cast(worker_id, message)
            except UnroutableError:
                _log.info("worker %s has gone; whoever finds that out applies %s", worker_id, message)
            except MessagingError as error:
                self._failed(error)
            except Exception as error:  # those after it are told all the same
                _log.error("worker %s cannot be told: %s", worker_id, error)

    async def _send_broadcasts(self, broadcasts: list[BroadcastMessage]) -> None:
        if broadcasts:
            try:
                await self._communicator.broadcast_many(broadcasts)
            except MessagingError as error:
                self._failed(error)

    def _failed(self, error: MessagingError) -> None:
        if not self._failing:
            _log.warning(
                "the broker takes no messages now (%s); nothing is lost, the sweep will send them", error
            )
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            _log.info("the broker takes messages again")
        self._failing = False
