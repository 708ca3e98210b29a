"""Who hears what, and what begins no more, when a subscriber is removed or a communicator closed."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import Any

import pytest

import quince_messaging
from quince_messaging import LinkState
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


# The last state of the link


def test_closing_is_heard_last_and_once(broker: str) -> None:
    heard: queue.Queue[LinkState] = queue.Queue()
    communicator = quince_messaging.connect(broker)
    communicator.on_link(heard.put)
    communicator.close()
    communicator.close()
    assert heard.get(timeout=SOON) is LinkState.CLOSED
    with pytest.raises(queue.Empty):
        heard.get(timeout=0.05)


def test_listeners_that_block_keep_neither_the_others_nor_closing(broker: str) -> None:
    heard: queue.Queue[LinkState] = queue.Queue()
    held = threading.Event()
    communicator = quince_messaging.connect(broker)

    def block(_state: LinkState) -> None:
        held.wait(SOON)

    for _ in range(10):
        communicator.on_link(block)
    communicator.on_link(heard.put)
    began = time.monotonic()
    communicator.close()
    assert time.monotonic() - began < 2.0
    assert heard.get(timeout=SOON) is LinkState.CLOSED
    held.set()


def test_a_listener_may_close_its_communicator(broker: str) -> None:
    heard: queue.Queue[LinkState] = queue.Queue()
    communicator = quince_messaging.connect(broker)
    communicator.on_link(lambda _state: communicator.close())
    communicator.on_link(heard.put)
    communicator.close()
    assert heard.get(timeout=SOON) is LinkState.CLOSED


async def test_coroutines_hear_of_the_closing_before_it_is_over(broker: str) -> None:
    states: list[LinkState] = []
    async with quince_messaging.connect_async(broker) as communicator:
        communicator.on_link(states.append)
    assert states == [LinkState.CLOSED]


# Broadcasts that wait for their turn


class Slow:
    """A subscriber that is at the first broadcast until it is let go, and counts the others."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.let_go = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self, _comm: Any, body: Any, *_about: Any) -> None:
        self.thread = threading.current_thread()
        self.begun.append(body)
        self.let_go.wait(SOON)


def with_some_waiting(pair: Pair) -> tuple[Slow, queue.Queue[Any]]:
    """A slow subscriber, called `slow`, for which broadcasts wait, and all that another one has heard."""
    sender, receiver = pair
    slow = Slow()
    heard: queue.Queue[Any] = queue.Queue()
    receiver.add_broadcast_subscriber(slow, "slow")
    receiver.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(body))
    for n in range(5):
        sender.broadcast_send(n)
    assert [heard.get(timeout=SOON) for _ in range(5)] == list(range(5))
    return slow, heard


def test_no_call_begins_after_the_removal(pair: Pair) -> None:
    sender, receiver = pair
    slow, heard = with_some_waiting(pair)
    receiver.remove_broadcast_subscriber("slow")
    slow.let_go.set()
    for n in (5, 6):
        sender.broadcast_send(n)
        assert heard.get(timeout=SOON) == n
    assert slow.begun == [0]


def test_no_call_begins_after_the_closing(pair: Pair) -> None:
    _, receiver = pair
    slow, _ = with_some_waiting(pair)
    receiver.close()
    slow.let_go.set()
    assert slow.thread is not None
    slow.thread.join(SOON)
    assert not slow.thread.is_alive()
    assert slow.begun == [0]


def test_no_task_begins_after_the_closing(pair: Pair) -> None:
    sender, receiver = pair
    slow = Slow()
    receiver.add_task_subscriber(lambda comm, task: slow(comm, task), queue="q", prefetch=32)
    sender.send_tasks(list(range(32)), queue="q")
    deadline = time.monotonic() + SOON
    while not slow.begun and time.monotonic() < deadline:
        time.sleep(0.001)
    receiver.close()
    slow.let_go.set()
    assert slow.thread is not None
    slow.thread.join(SOON)
    assert len(slow.begun) < 32


async def test_no_coroutine_is_called_after_unsubscribing_or_closing(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as sender:
        receiver = quince_messaging.connect_async(broker)
        await receiver.open()
        over: list[str] = []
        late: list[str] = []
        one = await receiver.subscribe(lambda _message: late.append("removed") if "one" in over else None)
        await receiver.subscribe(lambda _message: late.append("closed") if "all" in over else None)

        async def send() -> None:
            for n in range(500):
                await sender.broadcast_send(n)

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.02)
        await receiver.unsubscribe(one)
        over.append("one")
        await asyncio.sleep(0.02)
        await receiver.close()
        over.append("all")
        await sending
        await asyncio.sleep(0.02)
        assert late == []
