"""The link lives whatever its user does: heartbeats are the hidden thread's business."""

from __future__ import annotations

import time

import pytest

import messaging
from messaging import LinkState

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(60)]

BUSY = 5.0
"""Seconds, at a heartbeat of one: the broker gives a silent client up after two to three."""


@pytest.mark.parametrize(("how", "seconds"), [("computes", 4 * BUSY), ("sleeps", BUSY)])
def test_the_link_outlives_a_busy_user(uri: str, how: str, seconds: float) -> None:
    with messaging.connect(uri) as communicator:
        states: list[LinkState] = []
        communicator.on_link(states.append)
        communicator.add_rpc_subscriber(lambda _comm, msg: msg, "me")
        until = time.monotonic() + seconds
        if how == "sleeps":
            time.sleep(seconds)
        else:
            while time.monotonic() < until:
                sum(range(1000))
        assert communicator.rpc_call("me", "still here", timeout=5.0) == "still here"
        assert states == []


async def test_the_link_outlives_a_blocked_loop(uri: str) -> None:
    async with messaging.connect_async(uri) as communicator:
        states: list[LinkState] = []
        communicator.on_link(states.append)
        await communicator.add_rpc_subscriber(lambda _comm, msg: msg, "me")
        time.sleep(BUSY)  # noqa: ASYNC251 - the sin in question
        assert await communicator.rpc_send("me", "still here", timeout=5.0) == "still here"
        assert states == []
