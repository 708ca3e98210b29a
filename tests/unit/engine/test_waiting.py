"""What a process waits for in a worker's memory, and the slots that it gives and takes meanwhile."""

from __future__ import annotations

import asyncio

from quince.worker.slots import Slots
from quince.worker.waiting import Waiting


async def test_a_rest_from_which_there_is_no_slot_to_come_back_to_gives_none_away() -> None:
    """Another process is tried alone meanwhile: it must not find more slots than there are."""
    slots = Slots(2)
    assert slots.take(2) == 2
    waiting = Waiting(slots, linger=0.0)
    resting = asyncio.ensure_future(waiting.rest(60.0))
    await asyncio.sleep(0)
    assert slots.free == 1
    alone = slots.keep()
    waiting.wake()
    assert not await resting
    assert not waiting.has_slot, "or it would give one back at its end"
    assert alone.done()
    slots.open()
    assert slots.free == 1
