"""The folder in which communicators find each other, removed while they use it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from quince_messaging.contract import BroadcastMessage
from quince_messaging.errors import DeliveryFailed, UnroutableError
from quince_messaging.transports.local import LocalTransport
from tests.unit.messaging_local.transports import Open, Tray, opened, settled

__all__ = ["opened"]

SOON = 10.0


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.registration_watch.BETWEEN_CHECKS", 0.02)
    monkeypatch.setattr("quince_messaging.transports.local.registration_watch.BETWEEN_TRIES", 0.05)


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    return tmp_path / "d" / "quince" / "peers"


async def echo(body: Any) -> Any:
    return body


async def until_back(peers: Path, transport: LocalTransport) -> None:
    lock = peers / f"{transport._registration.peer}.lock"
    async with asyncio.timeout(SOON):
        while not lock.exists():  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.005)


def said(caplog: pytest.LogCaptureFixture, peers: Path) -> list[str]:
    return [record.getMessage() for record in caplog.records if str(peers) in record.getMessage()]


async def test_whoever_does_anything_puts_its_place_back_and_tells_the_others(
    opened: Open, peers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, client, third = await opened(), await opened(), await opened()
    await server.serve("s", echo)
    await settled(server)
    shutil.rmtree(peers)
    assert await client.call("s", 1, timeout=SOON) == 1
    for transport in (server, client, third):
        await until_back(peers, transport)
    newcomer = await opened()
    assert await newcomer.call("s", 2, timeout=SOON) == 2
    await newcomer.serve("n", echo)
    assert await third.call("n", 3, timeout=SOON) == 3
    heard: asyncio.Queue[Any] = asyncio.Queue()
    await newcomer.subscribe(lambda message: heard.put_nowait(message.body))
    await third.broadcast([BroadcastMessage(4, None, None, None)])
    assert await asyncio.wait_for(heard.get(), SOON) == 4
    told = said(caplog, peers)
    assert len(told) == 3
    assert all("was removed" in text and "restored" in text for text in told)
    for transport in (server, client, third, newcomer):
        await transport.close()
    assert list(peers.iterdir()) == []  # noqa: ASYNC240


async def test_a_newcomer_says_whom_it_cannot_find_and_finds_it_when_it_is_back(
    opened: Open, peers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    idle = await opened()
    tray = Tray()
    await idle.serve("s", echo)
    await idle.consume(tray.deliver, queue="q", prefetch=3)
    await settled(idle)
    async with asyncio.timeout(SOON):
        while idle._registration_watch._timer is not None:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.005)
    shutil.rmtree(peers)
    newcomer = await opened()
    for _ in range(2):
        with pytest.raises(UnroutableError):
            await newcomer.call("s", 1, timeout=SOON)
        await newcomer.send_tasks([1], queue="q")
    (told,) = said(caplog, peers)
    assert "removed" in told
    assert "restart" in told
    assert idle._registration.peer in told
    assert tray.tasks == []
    await idle.queue_size(queue="q")
    assert [task.body for task in await tray.until(2)] == [1, 1]
    await until_back(peers, idle)
    async with asyncio.timeout(SOON):
        while True:
            try:
                assert await newcomer.call("s", 1, timeout=SOON) == 1
                break
            except UnroutableError:
                await asyncio.sleep(0.005)


async def test_a_folder_that_was_removed_as_a_whole_is_not_made_again(
    opened: Open, peers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport = await opened()
    await settled(transport)
    shutil.rmtree(peers.parent)
    with pytest.raises(DeliveryFailed, match="was removed"):
        await transport.send_tasks([1], queue="q")
    assert not peers.parent.exists()


async def test_a_place_that_cannot_be_put_back_is_said_and_tried_again(
    opened: Open, peers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport, leaving = await opened(), await opened()
    await settled(transport)
    shutil.rmtree(peers)
    os.close(os.open(peers, os.O_CREAT))  # something is in the way
    async with asyncio.timeout(SOON):
        while not said(caplog, peers):
            await transport.queue_size(queue="q")
    assert "cannot be restored" in said(caplog, peers)[0]
    await leaving.close()
    os.unlink(peers)  # noqa: PTH108 - pathlib's would be taken for one that waits
    async with asyncio.timeout(SOON):
        while not os.access(peers, os.F_OK):
            await transport.queue_size(queue="q")
    await until_back(peers, transport)


async def test_nothing_is_looked_at_while_nothing_is_done(
    opened: Open, peers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = await opened()
    looked: list[float] = []
    in_place = transport._registration.in_place

    def note() -> bool:
        looked.append(time.monotonic())
        return in_place()

    monkeypatch.setattr(transport._registration, "in_place", note)
    await settled(transport)
    done = time.monotonic()
    await asyncio.sleep(0.1)
    assert len([at for at in looked if at > done]) <= 1
    assert looked


async def test_one_that_leaves_in_order_is_not_missed(
    opened: Open, peers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server, client = await opened(), await opened()
    await server.serve("s", echo)
    assert await client.call("s", 1, timeout=SOON) == 1
    await server.close()
    with pytest.raises(UnroutableError):
        await client.call("s", 1, timeout=SOON)
    assert caplog.messages == []
