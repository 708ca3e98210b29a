"""What is logged when a broker closes connections in order: our own warning, with the broker's reason."""

from __future__ import annotations

import asyncio
import logging

import pytest

import quince_messaging
from quince_messaging import LinkState
from tests.integration.messaging.watching import until
from tests.services import RabbitMQ

pytestmark = pytest.mark.rabbitmq


async def test_a_broker_that_closes_our_connections_is_told_of_by_us_alone(
    node: RabbitMQ, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    states: list[LinkState] = []
    async with quince_messaging.connect_async(uri) as ours:
        ours.on_link(states.append)
        await asyncio.to_thread(node.ctl, "close_all_connections", "maintenance")
        await until(lambda: LinkState.CONNECTED in states, what="the reconnect")
    assert [record for record in caplog.records if record.name.startswith("aiormq")] == []
    lost = [record for record in caplog.records if "the connection is lost" in record.message]
    assert len(lost) == 1
    assert "maintenance" in lost[0].message
