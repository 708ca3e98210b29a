"""What is begun on the caller's own thread does not overtake what waits for the hidden one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from quince_messaging import CommunicatorClosed
from quince_messaging.clients.bridge import Bridge
from quince_messaging.clients.loop_thread import LoopThread
from quince_messaging.transports.memory import MemoryTransport


def begin(_attend: Any) -> bool:
    return True


def test_nothing_begins_here_while_something_waits_for_the_hidden_thread() -> None:
    thread = LoopThread(MemoryTransport("bridge"), "test")
    thread.start().result()
    bridge = Bridge(thread)
    gate, begun = threading.Event(), threading.Event()

    def hold_up() -> None:
        begun.set()
        gate.wait(10)

    try:
        assert bridge.here(begin) is not None
        thread.post(hold_up)
        assert bridge.here(begin) is None, "it has not been called yet"
        begun.wait(10)
        assert bridge.here(begin) is None, "it is being called"
        gate.set()
        thread.submit(asyncio.sleep, 0).result()
        assert bridge.here(begin) is not None
    finally:
        gate.set()
        thread.close().result()


def test_nothing_begins_here_while_an_earlier_message_is_on_its_first_way() -> None:
    thread = LoopThread(MemoryTransport("bridge"), "test")
    thread.start().result()
    bridge = Bridge(thread)
    routed, on_its_way = asyncio.Event(), threading.Event()

    async def ask() -> asyncio.Future[str]:
        on_its_way.set()
        await routed.wait()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        answer.set_result("answered")
        return answer

    try:
        outcome = bridge.two_stages(ask)
        on_its_way.wait(10)
        assert bridge.here(begin) is None
        thread.post(routed.set)
        assert outcome.result(10) == "answered"
        thread.submit(asyncio.sleep, 0).result()
        assert bridge.here(begin) is not None
    finally:
        thread.close().result()


def test_nothing_begins_here_once_closed() -> None:
    thread = LoopThread(MemoryTransport("bridge"), "test")
    thread.start().result()
    bridge = Bridge(thread)
    thread.close().result()
    with pytest.raises(CommunicatorClosed):
        bridge.here(begin)
