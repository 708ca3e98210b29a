"""Processes that are frozen (SIGSTOP), and what the others care."""

from __future__ import annotations

import signal

import psutil
import pytest

from quince_messaging.transports.local.connection import MOST_BUFFERED
from tests.integration.messaging.watching import until
from tests.integration.messaging_local.conftest import Join, Refused


async def test_a_frozen_subscriber_neither_blocks_the_others_nor_fills_memory(join: Join) -> None:
    sender, frozen, lively = await join(), await join(), await join()
    for subscriber in (frozen, lively):
        await subscriber.tell("subscribe", subjects=["news.*"])
    frozen.signal(signal.SIGSTOP)
    before = await sender.tell("usage")
    await sender.tell("broadcast", subject="news.big", count=800, size=100_000)  # 80 MB
    await lively.until_met("heard", 800)
    after = await sender.tell("usage")
    assert after["peak"] - before["peak"] < 4 * MOST_BUFFERED

    frozen.signal(signal.SIGCONT)
    await frozen.until_met("heard", 10)  # what was on its way
    await sender.tell("broadcast", subject="news.last", count=1, size=1)
    await lively.until(lambda: lively.events[-1]["subject"] == "news.last")


async def test_a_frozen_consumer_does_not_keep_tasks_from_the_others(join: Join) -> None:
    client, frozen, lively = await join(), await join(), await join()
    for consumer in (frozen, lively):
        await consumer.tell("consume", queue="q", prefetch=10, settle=True)
        await consumer.tell("size", queue="q")  # its first claim is over: it is idle, and holds no lock
    frozen.signal(signal.SIGSTOP)
    for number in range(4):  # in turns: every other one rings the frozen consumer
        await client.tell("send", bodies=[number], queue="q")
    tasks = await lively.until_met("task", 4)
    assert sorted(task["body"] for task in tasks) == [0, 1, 2, 3]


async def test_one_frozen_in_the_middle_of_a_write_is_said_and_then_forgotten(join: Join) -> None:
    client, frozen, server = await join(), await join(), await join()
    await server.tell("serve", identifier="s")
    await client.tell("call", identifier="s", body=0)
    await client.tell("hurry", patience=0.5)
    await frozen.order("freeze_in_a_write")
    process = psutil.Process(frozen.process.pid)
    await until(lambda: process.status() == psutil.STATUS_STOPPED, what="its stop")
    with pytest.raises(Refused, match=r"DeliveryFailed.*locked the task file.*continue it or kill it"):
        await client.tell("send", bodies=["refused"], queue="q")
    assert (await client.tell("call", identifier="s", body=1))["answer"]["body"] == 1

    await frozen.kill()
    await client.tell("send", bodies=["taken"], queue="q")
    assert await client.tell("size", queue="q") == 1


async def test_one_can_join_and_subscribe_beside_a_frozen_one(join: Join) -> None:
    frozen, old = await join(), await join()
    frozen.signal(signal.SIGSTOP)
    new = await join(opened=False)
    assert await new.tell("open") < 3
    await new.tell("subscribe", subjects=["a"])
    await old.tell("broadcast", subject="a", count=1, size=1)
    await new.until_met("heard", 1)


async def test_one_that_joined_meanwhile_is_known_to_the_frozen_one_later(join: Join) -> None:
    frozen = await join()
    await frozen.tell("serve", identifier="s")
    frozen.signal(signal.SIGSTOP)
    new = await join()
    await new.tell("subscribe", subjects=["a"])
    frozen.signal(signal.SIGCONT)
    await new.tell("call", identifier="s", body=1)  # what was said before it has arrived
    await frozen.tell("broadcast", subject="a", count=1, size=1)
    await new.until_met("heard", 1)


async def test_a_call_to_a_frozen_server_runs_into_its_time_limit_only(join: Join) -> None:
    server, client = await join(), await join()
    await server.tell("serve", identifier="s")
    server.signal(signal.SIGSTOP)
    outcome = await client.tell("call", identifier="s", body=1)
    assert outcome["answer"] == "MessageTimeout"
    server.signal(signal.SIGCONT)
    assert (await client.tell("call", identifier="s", body=2))["answer"]["body"] == 2
