"""A user's programs that talk without the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import quince_messaging
from quince_messaging import (
    BroadcastMessage,
    Communicator,
    ConnectionFailed,
    SubjectFilter,
    TaskHandle,
    UnroutableError,
)


def answer(communicator: Communicator, dish: str) -> str:
    return f"{dish}: ten minutes"


def ring(
    communicator: Communicator, body: Any, sender: Any, subject: str | None, correlation_id: Any
) -> None:
    print(f"{sender} says {subject}: {body}")


def threads(uri: str) -> str:
    with quince_messaging.connect(uri, prefix="kitchen", task_prefetch=4) as cook:
        cook.add_rpc_subscriber(answer, "cook")
        cook.add_task_subscriber(lambda communicator, order: f"{order}, steaming")
        cook.add_broadcast_subscriber(ring)
        cook.send_tasks([{"letter": 1}], queue="letters", priority=9)
        cook.broadcast_send("table 5", sender="cook", subject="order.ready")
        try:
            return str(cook.rpc_send("cook", "soup").result(timeout=5))
        except UnroutableError as error:
            return str(error)


async def coroutines(uri: str) -> None:
    async with quince_messaging.connect_async(uri) as waiter:

        async def cooked(communicator: object, dish: str) -> str:
            return dish

        def heard(message: BroadcastMessage) -> None:
            print(message.body, message.subject)

        def arrived(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                task.ack(task.body)

        await waiter.add_rpc_subscriber(cooked, "waiter")
        await waiter.subscribe(heard, SubjectFilter(subjects=("order.*",)))
        consumer = await waiter.consume(arrived, queue="letters", prefetch=2)
        print(await waiter.rpc_send("cook", "soup", timeout=5.0), await waiter.queue_size(queue="letters"))
        await consumer.close()


def main() -> None:
    try:
        asyncio.run(coroutines("memory://kitchen"))
    except ConnectionFailed as error:
        raise SystemExit(str(error)) from error
