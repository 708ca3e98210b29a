"""The inbox: tasks wait for slots, and are not kept from others for long."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence

import pytest

import quince_messaging
from quince.messages import pid_of, task_for
from quince.worker import task_buffer as inbox_module
from quince.worker.slots import Slots
from quince.worker.task_buffer import Entry, TaskBuffer
from quince_messaging.contract import TaskHandle


def entries(tasks: Sequence[TaskHandle]) -> list[Entry]:
    return [(pid, task) for task in tasks if (pid := pid_of(task.body)) is not None]


async def until(look: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_only_as_many_tasks_as_slots_are_given_on() -> None:
    slots = Slots(2)
    claimed: list[int] = []
    inbox = TaskBuffer(slots, lambda batch: claimed.extend(pid for pid, _ in batch))
    inbox.put_pids([1, 2, 3])
    assert claimed == [1, 2]
    slots.give()
    assert claimed == [1, 2, 3]
    await inbox.close()


async def test_tasks_without_a_slot_go_back_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "HOLD_SECONDS", 0.05)
    uri = f"memory://{uuid.uuid4().hex}"
    async with quince_messaging.connect_async(uri) as busy, quince_messaging.connect_async(uri) as idle:
        slots = Slots(1)
        held: list[Entry] = []
        inbox = TaskBuffer(slots, held.extend)
        inbox.add_consumer(await busy.consume(lambda tasks: inbox.put(entries(tasks)), prefetch=8))
        await busy.send_tasks([task_for(pid) for pid in range(1, 5)])
        await until(lambda: len(held) == 1)
        got: list[int] = []
        done = asyncio.Event()

        def take(tasks: Sequence[TaskHandle]) -> None:
            for pid, task in entries(tasks):
                got.append(pid)
                assert task is not None
                task.ack()
            if len(got) == 3:
                done.set()

        consumer = await idle.consume(take, prefetch=8)
        await asyncio.wait_for(done.wait(), 10)
        assert sorted(got) == [2, 3, 4]
        assert [pid for pid, _ in held] == [1]

        await consumer.close()
        slots.give()  # the slot is free again: the inbox asks for tasks again
        await busy.send_tasks([task_for(9)])
        await until(lambda: len(held) == 2)
        assert held[1][0] == 9
        await inbox.close()


async def test_a_closed_inbox_hands_everything_back() -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    async with quince_messaging.connect_async(uri) as communicator:
        inbox = TaskBuffer(Slots(0), lambda batch: None)
        arrived = asyncio.Event()

        def deliver(tasks: Sequence[TaskHandle]) -> None:
            inbox.put(entries(tasks))
            arrived.set()

        inbox.add_consumer(await communicator.consume(deliver, prefetch=8))
        await communicator.send_tasks([task_for(1), task_for(2)])
        await asyncio.wait_for(arrived.wait(), 10)
        await inbox.close()
        await inbox.close()
        assert await communicator.queue_size() == 2
