"""A ledger of tasks under random deaths and freezes: none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
from pathlib import Path

from tests.integration.messaging_local.conftest import Join, Member

TASKS = 6000
CONSUMERS = 3
FAULTS = 12


async def test_no_task_is_lost_whoever_dies(join: Join, directory: Path) -> None:
    chance = random.Random(11)
    client = await join()
    everybody: list[Member] = []

    async def hire() -> Member:
        member = await join()
        everybody.append(member)
        await member.tell("consume", queue="q", prefetch=20, settle=True)
        return member

    crew = [await hire() for _ in range(CONSUMERS)]

    async def send() -> None:
        for first in range(0, TASKS, 20):
            await client.tell("send", bodies=list(range(first, first + 20)), queue="q")

    async def harm() -> None:
        for _ in range(FAULTS):
            await asyncio.sleep(chance.uniform(0.01, 0.1))
            location = chance.randrange(CONSUMERS)
            if chance.random() < 0.3:
                crew[location].signal(signal.SIGSTOP)
                await asyncio.sleep(chance.uniform(0.01, 0.2))
                crew[location].signal(signal.SIGCONT)
            else:
                await crew[location].kill()
                crew[location] = await hire()

    def seen() -> list[int]:
        return [task["body"] for member in everybody for task in member.met("task")]

    await asyncio.gather(send(), harm())
    async with asyncio.timeout(30):
        while len(set(seen())) < TASKS:  # noqa: ASYNC110 - spread over the events of many members
            await asyncio.sleep(0.02)
    assert await client.tell("size", queue="q") == 0
    assert await client.tell("size", queue="q") == 0
    for member in crew:
        await member.tell("close")
    await client.tell("close")
    with contextlib.closing(sqlite3.connect(directory / "quince" / "tasks.sqlite")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for table in ("tasks", "consumers", "identifiers", "dead_letters"):
            assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    twice = len(seen()) - TASKS
    assert set(seen()) == set(range(TASKS))
    assert twice <= FAULTS * 40  # only what was held by the dead, and what they had not yet settled
