"""What begins without a task of its own: calls whose way is known, and tasks of a sender that blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from quince_messaging.contract import TaskHandle
from quince_messaging.errors import CommunicatorClosed, DeliveryFailed, UnroutableError
from quince_messaging.transports.local import wal as log_module
from quince_messaging.wire.envelope import pack
from tests.unit.messaging_local.transports import Open, opened

__all__ = ["opened"]


async def echo(body: Any) -> Any:
    return body


async def never(_: Any) -> Any:
    await asyncio.get_running_loop().create_future()


async def test_calls_begin_at_once_when_their_way_is_known(opened: Open) -> None:
    client, server = await opened(), await opened()
    await server.serve("echo", echo)
    assert client.ask_at_once("echo", 0) is None
    assert await client.call("echo", 0, timeout=5) == 0
    answers = [client.ask_at_once("echo", pack(number)) for number in range(100)]
    for number, answer in enumerate(answers):
        assert answer is not None
        assert await answer == number
    await client.serve("own", echo)
    assert await client.call("own", 0, timeout=5) == 0
    assert client.ask_at_once("own", 0) is None  # its own calls are copied, as if they travelled


async def test_a_body_that_cannot_travel_is_refused_and_nothing_waits_for_it(opened: Open) -> None:
    client, server = await opened(), await opened()
    await server.serve("echo", echo)
    await client.call("echo", 0, timeout=5)
    with pytest.raises(TypeError):
        client.ask_at_once("echo", object())
    assert await client.call("echo", 1, timeout=5) == 1


async def test_calls_wait_for_room_when_the_other_side_is_slow(opened: Open) -> None:
    client, server = await opened(), await opened()
    await server.serve("size", lambda body: echo(len(body)))
    await client.call("size", b"", timeout=5)
    large = bytes(3_000_000)
    answers = [client.ask_at_once("size", large) for _ in range(5)]
    assert answers[0] is not None
    assert answers[-1] is None
    assert await client.call("size", large, timeout=5) == len(large)


async def test_a_call_begun_at_once_ends_with_its_server(opened: Open) -> None:
    client, server = await opened(), await opened()
    await server.serve("echo", echo)
    await client.call("echo", 0, timeout=5)
    await server.unserve("echo")
    await server.serve("never", never)
    moved = client.ask_at_once("echo", 1)
    assert moved is not None
    with pytest.raises(UnroutableError):
        await moved
    waiting = await client.ask("never", 1)
    waiting_too = client.ask_at_once("never", 1)
    assert waiting_too is not None
    await server.close()
    for answer in (waiting, waiting_too):
        with pytest.raises(DeliveryFailed):
            await answer


async def test_a_task_is_delivered_before_it_is_durable(opened: Open) -> None:
    client, server = await opened(), await opened()
    came: asyncio.Queue[Sequence[TaskHandle]] = asyncio.Queue()
    await server.consume(came.put_nowait, queue="q", prefetch=10)
    stored = [client.store_at_once([number], "q", 0) for number in range(3)]
    async with asyncio.timeout(5):
        tasks = await came.get()
    assert [task.body for task in tasks] == [0, 1, 2]
    for future in stored:
        assert future is not None
        await asyncio.to_thread(await future)


async def test_a_disk_that_fails_is_told_to_the_sender(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await opened()
    stored = client.store_at_once(["lost"], "q", 0)
    assert stored is not None
    until_durable = await stored

    def broken(_: int) -> None:
        raise OSError(5, "the disk failed")

    monkeypatch.setattr(log_module, "_sync", broken)
    with pytest.raises(DeliveryFailed, match="the disk failed"):
        await asyncio.to_thread(until_durable)
    with pytest.raises(DeliveryFailed, match="the disk failed"):
        await client.send_tasks(["lost too"], queue="q")
    monkeypatch.undo()
    await client.send_tasks(["kept"], queue="q")


async def test_what_is_stored_when_it_closes_is_durable_by_then(opened: Open) -> None:
    client, other = await opened(), await opened()
    stored = client.store_at_once(["last"], "q", 0)
    assert stored is not None
    until_durable = await stored
    await client.close()
    await asyncio.to_thread(until_durable)
    assert await other.queue_size(queue="q") == 1
    with pytest.raises(CommunicatorClosed):
        client.store_at_once(["late"], "q", 0)


async def test_what_the_writing_thread_stores_while_it_closes_is_durable_too(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = await opened(), await opened()
    syncs: list[int] = []
    real = log_module._sync

    def counted(descriptor: int) -> None:
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(log_module, "_sync", counted)
    stored = client.store_at_once([0] * 1000, "q", 0)  # too many for the loop
    assert stored is not None
    await asyncio.sleep(0)  # it is on its way to the thread
    await client.close()
    synced = len(syncs)
    assert synced
    await asyncio.to_thread(await stored)
    assert len(syncs) == synced
    assert await other.queue_size(queue="q") == 1000
