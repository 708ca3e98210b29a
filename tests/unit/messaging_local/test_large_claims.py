"""Claims of tasks whose bodies are too large together: read bit by bit, in order, by one or by others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from quince_messaging.contract import TaskHandle
from tests.unit.messaging_local.transports import Open, Tray, opened

__all__ = ["opened"]


async def test_large_bodies_of_one_claim_are_read_bit_by_bit(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.task_db.MOST_READ", 25_000)
    client, worker = await opened(), await opened()
    bodies = [[n, bytes(10_000)] for n in range(10)]
    await client.send_tasks(bodies, queue="q")
    tray = Tray()
    together: list[int] = []

    def deliver(tasks: Sequence[TaskHandle]) -> None:
        together.append(len(tasks))
        tray.deliver(tasks)

    await worker.consume(deliver, queue="q", prefetch=7)
    assert [task.body for task in await tray.until(7)] == bodies[:7]
    assert together == [2, 2, 2, 1]
    for task in tray.tasks[:7]:
        task.ack()
    assert [task.body for task in await tray.until(10)] == bodies
    assert max(together) == 2


async def test_what_a_consumer_has_not_read_when_it_pauses_goes_to_others(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.task_db.MOST_READ", 25_000)
    client, worker, other = await opened(), await opened(), await opened()
    bodies = [[n, bytes(10_000)] for n in range(10)]
    trays = Tray(), Tray()
    pausing: list[asyncio.Task[None]] = []

    def deliver(tasks: Sequence[TaskHandle]) -> None:
        trays[0].deliver(tasks)
        if not pausing:
            pausing.append(asyncio.ensure_future(consumer.pause()))

    consumer = await worker.consume(deliver, queue="q", prefetch=10)
    await client.send_tasks(bodies, queue="q")
    await trays[0].until(2)
    await pausing[0]
    await other.consume(trays[1].deliver, queue="q", prefetch=10)
    await trays[1].until(len(bodies) - len(trays[0].tasks))
    assert len(trays[0].tasks) < 10
    assert [task.body for task in trays[0].tasks + trays[1].tasks] == bodies
    assert not any(task.redelivered for task in trays[1].tasks)
    await consumer.resume()
    await client.send_tasks(["and on"], queue="q")
    await trays[0].until(11 - len(trays[1].tasks))
