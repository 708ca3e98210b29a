"""What every transport refuses in the same words, in the caller, through both faces."""

from __future__ import annotations

import queue
import uuid
from typing import Any

import pytest

import quince_messaging
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


@pytest.mark.parametrize("priority", [-1, 10, 300, 2**70, 1.5, "5", None])
def test_a_priority_that_there_is_not_is_refused(pair: Pair, priority: Any) -> None:
    sender, _ = pair
    with pytest.raises(ValueError, match=f"priority {priority!r} is not between 0 and 9"):
        sender.send_tasks(["x"], queue="q", priority=priority)
    for options in ({}, {"no_reply": True}, {"no_reply": True, "wait": False}):
        with pytest.raises(ValueError, match=f"priority {priority!r} is not between 0 and 9"):
            sender.task_send("x", queue="q", priority=priority, **options)
    assert sender.queue_size(queue="q") == 0


async def test_coroutines_are_refused_it_too(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as sender:
        with pytest.raises(ValueError, match="is not between 0 and 9"):
            await sender.send_tasks(["x"], priority=10)
        with pytest.raises(ValueError, match="is not between 0 and 9"):
            await sender.task_send("x", priority=-1)
        assert await sender.queue_size() == 0


class Thing:
    """Nothing that can travel."""


BROADCASTS_THAT_CANNOT_TRAVEL: list[dict[str, Any]] = [
    {"body": Thing()},
    {"body": "\udc80"},
    {"sender": Thing()},
    {"sender": "\udc80"},
    {"sender": 2**70},
    {"correlation_id": Thing()},
    {"subject": 5},
    {"subject": b"5"},
    {"subject": "\udc80"},
]


@pytest.mark.parametrize("parts", BROADCASTS_THAT_CANNOT_TRAVEL)
def test_a_broadcast_that_cannot_travel_is_refused_and_takes_none_with_it(
    pair: Pair, parts: dict[str, Any]
) -> None:
    sender, receiver = pair
    heard: queue.Queue[Any] = queue.Queue()
    receiver.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(body))
    sender.broadcast_send(1)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        sender.broadcast_send(**{"body": "bad"} | parts)
    sender.broadcast_send(2)
    assert [heard.get(timeout=SOON), heard.get(timeout=SOON)] == [1, 2]


async def test_coroutines_are_refused_such_broadcasts_too(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as sender:
        for parts in BROADCASTS_THAT_CANNOT_TRAVEL:
            with pytest.raises((TypeError, ValueError, OverflowError)):
                await sender.broadcast_send(**{"body": "bad"} | parts)


def test_a_broadcast_that_is_too_large_is_refused(pair: Pair) -> None:
    sender, _ = pair
    with pytest.raises(quince_messaging.UnreadableMessage, match="over the limit"):
        sender.broadcast_send(bytes(65 * 1024 * 1024))


def test_senders_arrive_the_same_wherever_the_subscriber_is(pair: Pair) -> None:
    sender, _ = pair
    author = uuid.uuid4()
    heard: queue.Queue[Any] = queue.Queue()
    for receiver in pair:
        receiver.add_broadcast_subscriber(
            lambda _comm, _body, author, _subject, number: heard.put((author, number))
        )
    sender.broadcast_send(1, sender=author, correlation_id=(1, 2))
    assert [heard.get(timeout=SOON) for _ in pair] == [(author, [1, 2])] * 2


@pytest.mark.parametrize("prefetch", [0, -1, 65_536, 2**40, 1.5, "x"])
async def test_a_prefetch_that_there_is_not_is_refused(broker: str, prefetch: Any) -> None:
    refused = pytest.raises(ValueError, match=f"prefetch {prefetch} is not between 1 and 65535")
    async with quince_messaging.connect_async(broker) as one:
        with refused:
            await one.consume(lambda tasks: None, prefetch=prefetch)
    with quince_messaging.connect(broker) as other, refused:
        other.add_task_subscriber(lambda _comm, _task: None, prefetch=prefetch)


@pytest.mark.parametrize("name", ["a\0b", "\udc80", "x" * 201, "ünïcode", "*", "line\n", None, 5, b"x"])
async def test_a_name_that_no_queue_can_have_is_refused(broker: str, name: Any) -> None:
    refused = pytest.raises(ValueError, match="cannot be the name of a queue")
    with quince_messaging.connect(broker) as blocking:
        for use in (
            lambda: blocking.send_tasks(["x"], queue=name),
            lambda: blocking.task_send("x", queue=name),
            lambda: blocking.task_queue(name),
            lambda: blocking.add_task_subscriber(lambda _comm, _task: None, queue=name),
            lambda: blocking.pull(queue=name),
            lambda: blocking.queue_size(queue=name),
            lambda: blocking.purge(queue=name),
        ):
            with refused:
                use()
    async with quince_messaging.connect_async(broker) as awaited:
        for coroutine in (
            awaited.send_tasks(["x"], queue=name),
            awaited.task_send("x", queue=name),
            awaited.consume(lambda tasks: None, queue=name),
            awaited.pull(queue=name),
            awaited.queue_size(queue=name),
            awaited.purge(queue=name),
        ):
            with refused:
                await coroutine


@pytest.mark.parametrize("name", ["x" * 200, "a/b: c@d#e,f-g_h.i", ""])
def test_all_other_names_will_do(pair: Pair, name: str) -> None:
    sender, worker = pair
    sender.send_tasks(["x"], queue=name)
    task = worker.pull(queue=name)
    assert task is not None
    assert task.body == "x"
    task.ack()
