"""What waits for a broker that is slow: bounded by number and by bytes, and all of it arrives."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from quince_messaging import BroadcastMessage, Communicator, MessageTimeout
from quince_messaging.transports.memory import MemoryTransport

SOON = 10.0
MEGABYTE = 1024 * 1024
_names = itertools.count()


class SlowTransport(MemoryTransport):
    """Takes messages only once it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let_go = threading.Event()
        self.most_at_once = 0

    async def _slowly(self) -> None:
        while not self.let_go.is_set():  # noqa: ASYNC110 - it is set by another thread
            await asyncio.sleep(0.001)

    async def broadcast(self, messages: Sequence[BroadcastMessage]) -> None:
        await self._slowly()
        self.most_at_once = max(self.most_at_once, sum(len(bytes(m.body)) for m in messages))
        await super().broadcast(messages)

    async def call_task(self, body: Any, *, queue: str, priority: int = 0) -> Awaitable[Any]:
        await self._slowly()
        return await super().call_task(body, queue=queue, priority=priority)


@pytest.fixture
def slow() -> Iterator[tuple[SlowTransport, Communicator]]:
    transport = SlowTransport(f"slow-{next(_names)}")
    communicator = Communicator(transport)
    communicator.open()
    yield transport, communicator
    transport.let_go.set()
    communicator.close()


def sent_before_it_waits(send: Callable[[int], object], most: int) -> tuple[int, threading.Thread]:
    """How many calls return while the transport takes nothing; the thread goes on when it does."""
    returned: queue.Queue[int] = queue.Queue()

    def work() -> None:
        for n in range(most):
            send(n)
            returned.put(n)

    thread = threading.Thread(target=work)
    thread.start()
    count = 0
    try:
        while True:
            returned.get(timeout=0.5)
            count += 1
    except queue.Empty:
        return count, thread


def test_large_broadcasts_wait_for_a_slow_broker_where_they_are_sent(
    slow: tuple[SlowTransport, Communicator],
) -> None:
    transport, communicator = slow
    heard: queue.Queue[int] = queue.Queue()
    communicator.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(body[0]))
    large = bytes(MEGABYTE)
    count, thread = sent_before_it_waits(lambda n: communicator.broadcast_send([n, large]), 100)
    assert 50 < count < 65
    transport.let_go.set()
    thread.join(SOON)
    communicator.flush()
    assert [heard.get(timeout=SOON) for _ in range(100)] == list(range(100))
    assert transport.most_at_once < 10 * MEGABYTE


def test_large_tasks_wait_for_a_slow_broker_where_they_are_sent(
    slow: tuple[SlowTransport, Communicator],
) -> None:
    transport, communicator = slow
    communicator.add_task_subscriber(lambda _comm, task: task[0])
    large = bytes(MEGABYTE)
    results: list[Any] = []
    count, thread = sent_before_it_waits(lambda n: results.append(communicator.task_send([n, large])), 100)
    assert 50 < count < 65
    transport.let_go.set()
    thread.join(SOON)
    assert [result.result(SOON) for result in results] == list(range(100))


def test_what_is_larger_than_all_the_room_passes_alone(
    slow: tuple[SlowTransport, Communicator], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, _ = slow
    monkeypatch.setattr("quince_messaging.clients.bridge.MOST_WAITING_BYTES", 1_000)
    transport.let_go.set()
    with_little_room = Communicator(MemoryTransport(f"little-{next(_names)}"))
    with_little_room.open()
    heard: queue.Queue[int] = queue.Queue()
    with_little_room.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(len(body)))
    with_little_room.add_task_subscriber(lambda _comm, task: len(task))
    for size in (5_000, 1, 5_001):
        with_little_room.broadcast_send(bytes(size))
        outcome = with_little_room.task_send(bytes(size))
        assert outcome is not None
        assert outcome.result(SOON) == size
    assert [heard.get(timeout=SOON) for _ in range(3)] == [5_000, 1, 5_001]
    with_little_room.close()


def test_a_task_for_which_there_is_no_room_in_time_is_refused(
    slow: tuple[SlowTransport, Communicator], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, communicator = slow
    monkeypatch.setattr("quince_messaging.clients.bridge.MOST_SECONDS", 0.01)
    communicator.task_send(bytes(60 * MEGABYTE))
    with pytest.raises(MessageTimeout, match="1 messages of 62914"):
        communicator.task_send(bytes(10 * MEGABYTE))
