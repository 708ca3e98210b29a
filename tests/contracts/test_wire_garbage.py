"""Messages that nobody of ours would send take no answers of others, no consumer and no room along."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import quince_messaging
from quince_messaging import TaskHandle
from quince_messaging.clients.awaitable import AwaitableCommunicator
from quince_messaging.transports.amqp.transport import AmqpTransport
from quince_messaging.transports.local.transport import LocalTransport
from quince_messaging.transports.memory.transport import MemoryTransport
from quince_messaging.wire.envelope import Address, Call, Reply, Status, Task, encode
from tests.contracts.brokers import broker

__all__ = ["broker"]

ADDRESSES = ["x" * 300, "y" * 70_000, "é" * 200, "", "\0", "#", "inbox-0", "../../etc"]
NUMBERS = [-1, 0, 1, 2**63]
SOON = 30.0


async def forge(stranger: AwaitableCommunicator, identifier: str, address: Address) -> None:
    """Send a call and a task whose answers are to go to an address that the sender has made up."""
    transport = stranger._transport
    if isinstance(transport, AmqpTransport):
        await stranger._bridge.run(_call_over_amqp, transport, Call(identifier, "forged", address))
        await stranger._bridge.run(transport._tasks.send, ["forged"], queue="q", priority=0, reply_to=address)
    elif isinstance(transport, LocalTransport):
        await stranger._bridge.run(transport._rpc._send, Call(identifier, "forged", address))
        await stranger._bridge.run(transport._queues.send, ["forged"], "q", 0, address)
    elif isinstance(transport, MemoryTransport):
        transport._connected.call(identifier, encode(Call(identifier, "forged", address)))
        transport._connected.put("q", 0, [encode(Task("forged", address))])


async def _call_over_amqp(transport: AmqpTransport, call: Call) -> None:
    transport._rpc.calls.queue_call(call.identifier, call)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_forged_addresses_lose_nobody_elses_answers(broker: str, later: bool) -> None:
    async with (
        quince_messaging.connect_async(broker) as server,
        quince_messaging.connect_async(broker) as client,
    ):

        async def answer(_communicator: Any, body: Any) -> Any:
            if later:
                await asyncio.sleep(0)
            return body

        def take(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                if later:
                    task.later()
                task.ack(task.body)

        await server.add_rpc_subscriber(answer, "echo")
        await server.consume(take, queue="q", prefetch=100)
        for turn in range(4):
            forged = [
                forge(client, "echo", Address(text, number)) for text in ADDRESSES for number in NUMBERS
            ]
            calls = [client.rpc_send("echo", n, timeout=SOON) for n in range(20)]
            sent = [client.task_send(n, queue="q") for n in range(20)]
            answers = await asyncio.gather(*forged[:10], *calls, *sent, *forged[10:])
            assert answers[10:30] == list(range(20)), turn
            tasks: list[Any] = answers[30:50]
            async with asyncio.timeout(SOON):
                for n, task in enumerate(tasks):
                    result = await task
                    assert (await result if isinstance(result, asyncio.Future) else result) == n
        async with asyncio.timeout(SOON):
            while await client.queue_size(queue="q"):  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert server.troubles() == client.troubles() == []


async def test_answers_that_nobody_asked_for_harm_nobody(broker: str) -> None:
    async with (
        quince_messaging.connect_async(broker) as server,
        quince_messaging.connect_async(broker) as client,
    ):
        await server.add_rpc_subscriber(lambda _communicator, body: body, "echo")
        for _ in range(10):
            for number in NUMBERS:
                for status in Status:
                    _reply_from(client, server, Reply(number, status, [[], {}, None]))
        assert await client.rpc_send("echo", "x", timeout=SOON) == "x"
        assert await server.rpc_send("echo", "x", timeout=SOON) == "x"


def _reply_from(stranger: AwaitableCommunicator, to: AwaitableCommunicator, reply: Reply) -> None:
    ours, theirs = stranger._transport, to._transport
    if isinstance(ours, AmqpTransport) and isinstance(theirs, AmqpTransport):
        stranger._thread.post(ours._rpc.reply, Address(theirs._rpc.inbox, reply.call), reply)
    elif isinstance(ours, LocalTransport) and isinstance(theirs, LocalTransport):
        stranger._thread.post(ours._rpc.reply, [(theirs._peers.name, reply)])
    elif isinstance(ours, MemoryTransport) and isinstance(theirs, MemoryTransport):
        ours._connected.reply(Address(theirs._inbox, reply.call), reply)


async def test_a_consumer_that_fails_keeps_its_room(broker: str) -> None:
    """Its tasks go back once, and are put aside the second time; others come as before."""
    async with quince_messaging.connect_async(broker) as communicator:
        done: list[Any] = []
        enough = asyncio.Event()

        def take(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                if task.body == "bad":
                    raise ValueError(task.body)
                done.append(task.body)
                task.ack()
            if set(range(12)) <= set(done):
                enough.set()

        await communicator.consume(take, queue="q", prefetch=2)
        for n in range(12):
            await communicator.send_tasks(["bad", n], queue="q")
        await asyncio.wait_for(enough.wait(), SOON)
        async with asyncio.timeout(SOON):
            while len(letters := await communicator.dead_letters()) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert all("its consumer failed twice" in letter.reason for letter in letters)


async def test_a_subscriber_that_fails_is_no_end_to_broadcasts(broker: str) -> None:
    async with (
        quince_messaging.connect_async(broker) as sender,
        quince_messaging.connect_async(broker) as hearer,
    ):
        heard: list[Any] = []
        enough = asyncio.Event()

        def fail(_message: Any) -> None:
            raise MemoryError

        def hear(message: Any) -> None:
            heard.append(message.body)
            if len(heard) == 50:
                enough.set()

        await hearer.subscribe(fail)
        await hearer.subscribe(hear)
        for n in range(50):
            await sender.broadcast_send(n, sender=[[n]], subject="x")
        await asyncio.wait_for(enough.wait(), SOON)
        assert heard == list(range(50))
