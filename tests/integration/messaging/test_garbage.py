"""Garbage on every queue: nothing falls over, tasks that cannot be read are put aside with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import quince_messaging
from quince_messaging import BroadcastMessage, LinkState, TaskHandle
from tests.integration.messaging.watching import until, until_async
from tests.services import RabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(120)]

garbage = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda data: b"\x01" + data),
    st.sampled_from(
        [b"", b"\x00", b"\x01", b"\x02\x92\x01\xc0", b"\x01\xc1", b"\x01\x95\x01\x01\x01\x01\x01"]
    ),
    st.just(b"\x01" + b"\x91" * 5000),
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(garbage, min_size=1, max_size=40))
def test_garbage_everywhere(junk: list[bytes], node: RabbitMQ, uri: str) -> None:
    asyncio.run(throw(junk, uri))


async def throw(junk: list[bytes], uri: str) -> None:
    prefix = uri.split("prefix=")[1].split("&")[0]
    async with quince_messaging.connect_async(uri) as worker, quince_messaging.connect_async(uri) as client:
        read: list[object] = []
        heard: list[object] = []

        def take(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                read.append(task.body)
                task.ack()

        def hear(message: BroadcastMessage) -> None:
            heard.append(message.body)

        await worker.consume(take, prefetch=20)
        await worker.add_rpc_subscriber(lambda _comm, msg: msg, "target")
        await worker.subscribe(hear)
        states: list[LinkState] = []
        worker.on_link(states.append)
        before = len(await client.dead_letters(limit=10_000))
        await publish(uri, prefix, junk)
        await client.send_tasks(["the last"])
        await until(lambda: "the last" in read, what="the task after the garbage")
        assert await client.rpc_send("target", "still there", timeout=10) == "still there"
        await client.broadcast_send("still there")
        await until(lambda: "still there" in heard, what="the broadcast after the garbage")
        readable = sum(1 for body in read if body != "the last")

        expected = before + len(junk) - readable

        async def all_put_aside() -> bool:
            return len(await client.dead_letters(limit=10_000)) >= expected

        await until_async(all_put_aside, within=10)
        assert len(await client.dead_letters(limit=10_000)) == expected
        assert all(letter.reason for letter in await client.dead_letters(limit=10_000))
        assert states == []


async def publish(uri: str, prefix: str, junk: list[bytes]) -> None:
    """As a stranger with an AMQP library would."""
    async with await aio_pika.connect(uri.split("?")[0]) as connection:
        channel = await connection.channel()
        rpc = await channel.get_exchange(f"{prefix}.rpc")
        broadcast = await channel.get_exchange(f"{prefix}.broadcast")
        for data in junk:
            message = aio_pika.Message(data, headers={"strange": ["header", {"x": 1}]}, priority=3)
            await channel.default_exchange.publish(message, f"{prefix}.tasks.p9.default")
            await rpc.publish(aio_pika.Message(data), "to.target")
            await broadcast.publish(aio_pika.Message(data), "x.y")


async def test_what_came_from_nowhere_that_is_known_is_not_revived(uri: str) -> None:
    prefix = uri.split("prefix=")[1].split("&")[0]
    async with quince_messaging.connect_async(uri) as communicator:
        await communicator.send_tasks(["known"], queue="here", priority=4)
        task = await communicator.pull(queue="here")
        assert task is not None
        task.dead_letter("known")

        async def there(count: int) -> bool:
            return len(await communicator.dead_letters()) == count

        await until_async(lambda: there(1), within=10)
        async with await aio_pika.connect(uri.split("?")[0]) as connection:
            channel = await connection.channel()
            strange: list[dict[str, Any]] = [{}, {"x-quince-queue": "not ours", "x-quince-priority": "300"}]
            for headers in strange:
                await channel.default_exchange.publish(
                    aio_pika.Message(b"lost", headers=headers), f"{prefix}.dead"
                )
        await until_async(lambda: there(3), within=10)
        assert await communicator.revive() == 1
        assert await communicator.queue_size(queue="here") == 1
        assert await communicator.queue_size(queue="") == 0
        await until_async(lambda: there(2), within=10)
        assert await communicator.revive() == 0
