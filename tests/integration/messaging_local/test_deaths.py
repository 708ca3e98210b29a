"""Processes that are killed with signal 9, and what the others notice of it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from tests.integration.messaging_local.conftest import Join

SOON = 0.1  # seconds: the promise for tasks of a dead consumer


def files_in(directory: Path) -> list[str]:
    return [path.name for path in (directory / "quince" / "peers").iterdir()]


async def test_tasks_of_a_killed_consumer_are_redelivered_at_once(join: Join) -> None:
    victim, heir, client = await join(), await join(), await join()
    await victim.tell("consume", queue="q", prefetch=10, settle=False)
    await client.tell("send", bodies=list(range(10)), queue="q")
    await victim.until_met("task", 10)
    await heir.tell("consume", queue="q", prefetch=10, settle=True)

    killed_at = time.monotonic()
    await victim.kill()
    tasks = await heir.until_met("task", 10)

    assert sorted(task["body"] for task in tasks) == list(range(10))
    assert all(task["redelivered"] for task in tasks)
    assert max(task["at"] for task in tasks) - killed_at < SOON
    assert await client.tell("size", queue="q") == 0


async def test_a_consumer_rung_and_killed_before_it_claims_costs_nobody_a_task(join: Join) -> None:
    victim, heir, client = await join(), await join(), await join()
    for consumer in (victim, heir):
        await consumer.tell("consume", queue="q", prefetch=5, settle=True)
    victim.signal(signal.SIGSTOP)
    await client.tell("send", bodies=list(range(4)), queue="q")
    await victim.kill()
    tasks = await heir.until_met("task", 4)
    assert sorted(task["body"] for task in tasks) == [0, 1, 2, 3]


async def test_what_a_killed_sender_had_confirmed_is_there(join: Join) -> None:
    consumer, sender = await join(), await join()
    await consumer.tell("consume", queue="q", prefetch=100, settle=True)
    await sender.order("send_on_and_on", queue="q")
    await sender.until_met("sent", 20)
    await sender.kill()
    confirmed = sender.met("sent")[-1]["count"]

    def all_there() -> bool:
        return {task["body"] for task in consumer.met("task")} >= set(range(confirmed))

    await consumer.until(all_there)
    await asyncio.sleep(0.2)  # for what would come too often
    bodies = [task["body"] for task in consumer.met("task")]
    assert len(bodies) == len(set(bodies))


async def test_durable_tasks_outlive_every_process(join: Join) -> None:
    sender = await join()
    await sender.tell("send", bodies=list(range(50)), queue="q")
    await sender.kill()
    heir = await join()
    assert await heir.tell("size", queue="q") == 50
    await heir.tell("consume", queue="q", prefetch=7, settle=True)
    tasks = await heir.until_met("task", 50)
    assert [task["body"] for task in tasks] == list(range(50))


async def test_tasks_held_when_everybody_was_killed_come_back(join: Join) -> None:
    holder = await join()
    await holder.tell("consume", queue="q", prefetch=5, settle=False)
    await holder.tell("send", bodies=[1, 2, 3], queue="q")
    await holder.until_met("task", 3)
    await holder.kill()
    heir = await join()
    await heir.tell("consume", queue="q", prefetch=5, settle=True)
    tasks = await heir.until_met("task", 3)
    assert all(task["redelivered"] for task in tasks)


async def test_a_call_to_a_killed_server_is_unroutable_at_once(join: Join) -> None:
    server, client = await join(), await join()
    await server.tell("serve", identifier="s")
    assert (await client.tell("call", identifier="s", body=1))["answer"]["body"] == 1
    await server.kill()
    outcome = await client.tell("call", identifier="s", body=2)
    assert outcome["answer"] == "UnroutableError"
    assert outcome["took"] < SOON


async def test_a_server_killed_by_its_call_is_unroutable_at_once(join: Join) -> None:
    server, client = await join(), await join()
    await server.tell("serve", identifier="s")
    outcome = await client.tell("call", identifier="s", body="die")
    assert outcome["answer"] == "UnroutableError"
    assert outcome["took"] < SOON


async def test_the_identifier_of_a_killed_server_is_free(join: Join) -> None:
    server, heir = await join(), await join()
    await server.tell("serve", identifier="s")
    await server.kill()
    await heir.tell("serve", identifier="s")
    client = await join()
    assert (await client.tell("call", identifier="s", body=1))["answer"]["by"] == heir.process.pid


async def test_the_files_of_the_dead_are_removed(join: Join, directory: Path) -> None:
    first, second = await join(), await join()
    await first.kill()
    await second.kill()
    assert any(name.startswith(f"{second.process.pid}-") for name in files_in(directory))
    third = await join()
    names = files_in(directory)
    assert len(names) == 2
    assert all(name.startswith(f"{third.process.pid}-") for name in names)


async def test_a_fork_that_lives_on_does_not_keep_its_parent_alive(join: Join) -> None:
    parent, heir = await join(), await join()
    await parent.tell("consume", queue="q", prefetch=5, settle=False)
    await heir.tell("send", bodies=[1], queue="q")
    await parent.until_met("task", 1)
    child = await parent.tell("fork")
    try:
        await parent.until_met("child", 1)
        assert parent.met("child")[0]["error"] == "CommunicatorForked"
        await heir.tell("consume", queue="q", prefetch=5, settle=True)
        killed_at = time.monotonic()
        os.kill(parent.process.pid, signal.SIGKILL)
        (task,) = await heir.until_met("task", 1)
        assert task["at"] - killed_at < SOON
    finally:
        os.kill(child, signal.SIGKILL)
