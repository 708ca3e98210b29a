"""Broadcasts to those who read slowly, or not at all: the first hear all, what others miss is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quince_messaging.contract import BroadcastMessage
from quince_messaging.transports.local import LocalTransport, peers
from quince_messaging.transports.local.connection import PeerConnection
from quince_messaging.wire.broadcasts import checked

MEGABYTE = 1024 * 1024


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[LocalTransport, LocalTransport]]:
    """A sender and a receiver; the receiver came last, so it made the connection."""
    both = LocalTransport(tmp_path / "d"), LocalTransport(tmp_path / "d")
    for transport in both:
        await transport.open()
    yield both
    for transport in both:
        await transport.close()


class Ear:
    """Hears broadcasts over a connection that a test holds up."""

    def __init__(self, receiver: LocalTransport) -> None:
        ((self._connection,),) = receiver._peers._connections.values()
        self.heard: list[int] = []
        self._more = asyncio.Event()

    def hear(self, message: BroadcastMessage) -> None:
        self.heard.append(message.correlation_id)
        self._more.set()

    def hold_up(self) -> None:
        self._connection._transport.pause_reading()

    def go_on(self) -> None:
        self._connection._transport.resume_reading()

    async def until(self, last: int) -> None:
        async with asyncio.timeout(20):
            while last not in self.heard:
                self._more.clear()
                await self._more.wait()


def large(number: int) -> BroadcastMessage:
    return checked(BroadcastMessage(bytes(MEGABYTE), None, "large", number))


async def test_one_that_reads_slowly_hears_everything_in_order(
    pair: tuple[LocalTransport, LocalTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = pair
    ear = Ear(receiver)
    await receiver.subscribe(ear.hear)
    real = PeerConnection.buffer_updated

    def slowly(connection: PeerConnection, nbytes: int) -> None:  # one piece, and then nothing for a while
        real(connection, nbytes)
        ear.hold_up()
        asyncio.get_running_loop().call_later(0.01, ear.go_on)

    monkeypatch.setattr(ear._connection, "buffer_updated", lambda nbytes: slowly(ear._connection, nbytes))
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(sender.broadcast([large(number)]))
    await ear.until(15)
    assert ear.heard == list(range(16))


async def test_what_one_that_does_not_read_has_missed_is_told_once(
    pair: tuple[LocalTransport, LocalTransport],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sender, receiver = pair
    monkeypatch.setattr(peers, "DRAIN_PATIENCE", 0.05)
    ear = Ear(receiver)
    await receiver.subscribe(ear.hear)
    ear.hold_up()
    with caplog.at_level(logging.WARNING, "quince_messaging.transports.local"):
        for number in range(20):
            await sender.broadcast([large(number)])
        ear.go_on()
        await ear.until(0)
        for number in (20, 21):  # it reads again; before the last one it has read all the rest
            await sender.broadcast([large(number)])
            await ear.until(number)
    missed = 22 - len(ear.heard)
    assert missed > 5
    assert ear.heard == sorted(ear.heard)
    begin, end = (record.getMessage() for record in caplog.records)
    assert "does not read: broadcasts to it are dropped" in begin
    assert end.startswith(f"{missed} broadcasts")


async def test_one_that_has_just_hung_up_is_not_asked_again_and_again(
    pair: tuple[LocalTransport, LocalTransport],
) -> None:
    """Between the loss of a connection and the word of it, its sender must let the loop go on."""
    sender, _ = pair
    ((connection,),) = sender._peers._connections.values()
    peer = connection.peer
    assert peer is not None
    connection.abort("a test says so")
    assert not connection.ended.is_set()
    async with asyncio.timeout(10):
        await sender._peers.send_broadcasts(peer, b"payload", 1)
        assert not await sender._peers.send_in_time(peer, b"payload")
    assert connection.ended.is_set()
