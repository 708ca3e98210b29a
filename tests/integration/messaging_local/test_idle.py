"""Nothing polls: who has nothing to do does nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.messaging_local.conftest import Join

MEMBERS = 10
WATCHED = 2.0  # seconds


def wake_ups(process: int) -> int:
    """How often any of its threads has gone to sleep so far."""
    total = 0
    for status in Path(f"/proc/{process}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="counts wake-ups in /proc")
async def test_ten_idle_members_do_not_even_wake_up(join: Join) -> None:
    members = await asyncio.gather(*(join() for _ in range(MEMBERS)))
    for member in members:
        await member.tell("consume", queue="q", prefetch=10, settle=True)
        await member.tell("serve", identifier=str(member.process.pid))
        await member.tell("subscribe", subjects=["news.*"])
    await members[0].tell("send", bodies=list(range(100)), queue="q")
    await members[0].tell("broadcast", subject="news.now", count=10, size=10)
    await asyncio.sleep(1.0)  # what follows from that is done

    def used() -> float:
        return sum(sum(psutil.Process(m.process.pid).cpu_times()[:2]) for m in members)

    wakes, cpu = [wake_ups(m.process.pid) for m in members], used()
    await asyncio.sleep(WATCHED)
    assert used() - cpu < 0.02
    assert [wake_ups(m.process.pid) for m in members] == wakes
