"""What bodies are when they arrive, whichever way they came."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
import pytest

from tests.contracts.brokers import broker
from tests.contracts.pairs import SOON, Inbox, Pair, ack, eventually, pair

__all__ = ["broker", "pair"]

NUMBER = uuid.UUID(int=5)
BODIES = [
    NUMBER,
    {"pid": NUMBER, NUMBER: [NUMBER, str(NUMBER), NUMBER.bytes]},
    {"pid": NUMBER, "large": [{"pid": uuid.UUID(int=n), "n": n} for n in range(2_000)]},
]


@pytest.mark.parametrize("body", BODIES, ids=["alone", "among others", "many"])
async def test_uuids_arrive_as_uuids(pair: Pair, body: object) -> None:
    near, far = pair
    heard, tasks = Inbox(), Inbox(settle=lambda task: task.ack(task.body))
    await far.add_rpc_subscriber(lambda _comm, msg: [msg, msg == body], "echo")
    await far.subscribe(heard.broadcast)
    await far.consume(tasks.tasks)
    assert await near.rpc_send("echo", body, timeout=SOON) == [body, True]
    result = await near.task_send(body)
    assert result is not None
    assert await asyncio.wait_for(result, SOON) == body
    assert tasks.bodies == [body]
    await near.broadcast_send(body, sender=NUMBER, subject="s", correlation_id=NUMBER)
    (message,) = await heard.wait(1)
    assert (message.body, message.sender, message.correlation_id) == (body, NUMBER, NUMBER)


async def test_a_task_with_something_unknown_in_it_is_put_aside(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=ack)
    await sender.send_tasks([msgspec.msgpack.Ext(77, b"?"), "fine"], queue="q")
    await worker.consume(inbox.tasks, queue="q")
    await inbox.wait(1)
    assert inbox.bodies == ["fine"]

    async def put_aside() -> bool:
        return len(await worker.dead_letters()) == 1

    await eventually(put_aside)
    (letter,) = await worker.dead_letters()
    assert "extension type 77" in letter.reason
    await sender.send_tasks([msgspec.msgpack.Ext(77, b"?"), "by hand"], queue="other")
    task = await worker.pull(queue="other")
    assert task is not None
    assert task.body == "by hand"
    task.ack()


async def test_a_broadcast_with_something_unknown_in_it_is_dropped(pair: Pair) -> None:
    sender, receiver = pair
    heard, here = Inbox(), Inbox()
    await receiver.subscribe(heard.broadcast)
    await sender.subscribe(here.broadcast)
    for body in ("before", msgspec.msgpack.Ext(77, b"?"), "after"):
        await sender.broadcast_send(body)
    await heard.wait(2)
    await here.wait(2)
    assert heard.bodies == here.bodies == ["before", "after"]
