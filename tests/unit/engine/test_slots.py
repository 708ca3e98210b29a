"""Slots: none is lost, none is given twice, and those who come back go first."""

from __future__ import annotations

import asyncio

import pytest

from quince.worker.slots import Slots


async def test_takes_what_is_free_and_no_more() -> None:
    slots = Slots(3)
    assert slots.take(2) == 2
    assert slots.take(5) == 1
    assert slots.take(1) == 0
    slots.give(3)
    assert slots.free == 3


async def test_returning_ones_go_before_new_ones() -> None:
    slots = Slots(1)
    assert slots.take(1) == 1
    returning = asyncio.create_task(slots.retake())
    await asyncio.sleep(0)
    slots.give()
    assert slots.take(1) == 0
    await returning
    assert slots.free == 0


async def test_a_cancelled_return_loses_no_slot() -> None:
    slots = Slots(1)
    slots.take(1)
    first, second = asyncio.create_task(slots.retake()), asyncio.create_task(slots.retake())
    await asyncio.sleep(0)
    slots.give()
    first.cancel()  # after its turn had come
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    slots.give()
    assert slots.free == 1
