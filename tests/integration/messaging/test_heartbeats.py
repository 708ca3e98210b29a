"""The link lives whatever its user does: heartbeats are the hidden thread's business."""

from __future__ import annotations

import time

import pytest

import quince_messaging
from quince_messaging import LinkState

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(700)]

BUSY = 5.0
"""Seconds, at a heartbeat of one: the broker gives a silent client up after two to three."""


@pytest.fixture
def busy(request: pytest.FixtureRequest) -> float:
    """For how many seconds the user has no time; ten minutes with `pytest --ten-minutes`."""
    return 600.0 if request.config.getoption("ten_minutes") else BUSY


@pytest.mark.parametrize(("how", "times"), [("computes", 4), ("sleeps", 1)])
def test_the_link_outlives_a_busy_user(uri: str, how: str, times: int, busy: float) -> None:
    seconds = min(times * busy, 600.0)
    with quince_messaging.connect(uri) as communicator:
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


async def test_the_link_outlives_a_blocked_loop(uri: str, busy: float) -> None:
    async with quince_messaging.connect_async(uri) as communicator:
        states: list[LinkState] = []
        communicator.on_link(states.append)
        await communicator.add_rpc_subscriber(lambda _comm, msg: msg, "me")
        time.sleep(busy)  # noqa: ASYNC251 - the sin in question
        assert await communicator.rpc_send("me", "still here", timeout=5.0) == "still here"
        assert states == []
