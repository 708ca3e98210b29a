"""Tasks held for longer than the broker's acknowledgement timeout, set low here to be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

import quince_messaging
from quince_messaging import LinkState, TaskHandle
from tests.integration.messaging.watching import until
from tests.services import RabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(120)]

TIMEOUT_MS = 3_000


@pytest.fixture
async def impatient(node: RabbitMQ, uri: str) -> AsyncIterator[str]:
    """A node that closes channels which hold a delivery for three seconds, and looks often."""

    async def patience(timeout: str, tick: int) -> None:
        setting = f"application:set_env(rabbit, consumer_timeout, {timeout}), "
        setting += f"application:set_env(rabbit, channel_tick_interval, {tick})."
        await asyncio.to_thread(node.ctl, "eval", setting)

    await patience(str(TIMEOUT_MS), 500)
    yield uri
    await patience("1800000", 60_000)


async def test_the_broker_is_really_impatient(impatient: str) -> None:
    """Without renewal the link breaks: so the tests below show something."""
    async with quince_messaging.connect_async(f"{impatient}&renew_after=600") as worker:
        states: list[LinkState] = []
        worker.on_link(states.append)
        held: list[TaskHandle] = []
        await worker.consume(held.extend)
        await worker.send_tasks(["long"])
        await until(lambda: LinkState.RECONNECTING in states, within=20, what="the broker's complaint")


async def test_long_tasks_are_kept_and_done_once(impatient: str) -> None:
    async with (
        quince_messaging.connect_async(f"{impatient}&renew_after=0.5") as worker,
        quince_messaging.connect_async(impatient) as client,
    ):
        states: list[LinkState] = []
        worker.on_link(states.append)
        held: list[TaskHandle] = []
        quick: list[str] = []

        def arrived(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                if task.body.startswith("long"):
                    held.append(task)
                else:
                    quick.append(task.body)
                    task.ack()

        consumer = await worker.consume(arrived, prefetch=3)
        outcomes = [await client.task_send(f"long {n}", priority=5) for n in range(2)]
        await until(lambda: len(held) == 2, what="the long tasks")
        for number in range(3 * TIMEOUT_MS // 500):
            await client.send_tasks([f"quick {number}"])
            await asyncio.sleep(0.5)
        await until(lambda: len(quick) == 3 * TIMEOUT_MS // 500, what="the quick tasks")
        assert states == []
        assert len(held) == 2
        held[0].ack("done")
        held[1].requeue()
        assert outcomes[0] is not None
        assert await asyncio.wait_for(outcomes[0], 10) == "done"
        await until(lambda: len(held) == 3, what="the requeued task")
        assert (held[2].body, held[2].redelivered) == ("long 1", True)
        held[2].ack("done too")
        assert outcomes[1] is not None
        assert await asyncio.wait_for(outcomes[1], 10) == "done too"
        await consumer.close()
        assert await client.queue_size() == 0


async def test_no_more_than_prefetch_while_tasks_are_renewed(impatient: str) -> None:
    async with quince_messaging.connect_async(f"{impatient}&renew_after=0.5") as worker:
        held: list[TaskHandle] = []
        await worker.consume(held.extend, prefetch=2)
        await worker.send_tasks(list(range(5)))
        await until(lambda: len(held) == 2, what="the first two")
        await asyncio.sleep(1.5)
        assert len(held) == 2
        assert await worker.queue_size() == 3  # not hoarded here: others could have them
        for number in range(5):
            await until(lambda: len(held) > number, what="the next one")  # noqa: B023
            held[number].ack()
        assert sorted(task.body for task in held) == [0, 1, 2, 3, 4]


async def test_renewed_tasks_of_a_lost_consumer_are_soon_with_another(impatient: str) -> None:
    async with quince_messaging.connect_async(impatient) as other:
        lost = quince_messaging.connect_async(f"{impatient}&renew_after=0.5")
        await lost.open()
        held: list[TaskHandle] = []
        await lost.consume(held.extend, prefetch=5)
        await other.send_tasks(["a", "b", "c"])
        await until(lambda: len(held) == 3, what="the tasks")
        await asyncio.sleep(1.5)
        taken: list[TaskHandle] = []
        await other.consume(taken.extend, prefetch=5)
        _drop(lost)
        took = await until(lambda: len(taken) == 3, what="the redelivery")
        assert took < 2.0
        assert all(task.redelivered for task in taken)
        await lost.close()


def _drop(communicator: quince_messaging.AwaitableCommunicator) -> None:
    """Break its socket and keep it from dialling again, as a dying process would."""
    session = communicator._transport._session  # type: ignore[attr-defined]

    def drop() -> None:
        session.side.stop()
        for kept in session.side.kept.values():
            if (task := kept.end()) is not None:
                task.cancel()
        session.live_connection.abort()

    communicator._thread.post(drop)
