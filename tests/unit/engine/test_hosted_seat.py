"""A process whose step runs in a host of others, as its worker steers it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from quince.hosts.failures import Fenced
from quince.hosts.protocol import Done, Said
from quince.worker.hosted_seat import HostedSeat


class Host:
    """A shared host that does nothing, and is told everything."""

    shared = True

    def __init__(self) -> None:
        self.guests: dict[int, Any] = {}
        self.residents: set[int] = set()
        self.orders: list[str] = []

    def begin(self, guest: Any, _begin: object) -> None:
        self.guests[guest.pid] = guest

    def take_back(self) -> list[Any]:
        return []

    def order(self, _pid: int, verb: str) -> None:
        self.orders.append(verb)

    def thaw(self) -> None:
        """Nothing stands still here."""


async def test_an_answer_to_a_pause_before_the_last_play_is_none_to_the_one_after_it() -> None:
    """Else the process is written down as paused while its step still runs."""
    host = Host()
    claim = SimpleNamespace(row=SimpleNamespace(pid=1, class_path="m:C", deaths_alone=0), checkpoint=None)
    pool = SimpleNamespace(place=lambda _seat, _now: host, heard=lambda *_: None)
    seat = HostedSeat(cast("Any", pool), cast("Any", claim), None, 5.0)
    step = asyncio.create_task(seat.step())
    await asyncio.sleep(0)
    first = asyncio.create_task(seat.suspend(now=True))
    await asyncio.sleep(0)
    seat.resume()
    assert not await first
    second = asyncio.create_task(seat.suspend(now=True))
    await asyncio.sleep(0)
    assert host.orders == ["pause", "play", "pause"]
    seat.said(Said(1, "pause", True))
    await asyncio.sleep(0)
    assert not second.done()
    seat.said(Said(1, "pause", True))
    assert await second
    seat.done(Done(1, failure="Fenced"))
    with pytest.raises(Fenced):
        await step
