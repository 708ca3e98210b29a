"""What the driver logs of connections: nothing that we tell ourselves, all that belongs to others."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import aio_pika
import aiormq.connection
import pytest

import quince_messaging
from quince_messaging.transports.amqp.driver import our_connection


@pytest.fixture
def nobody_there() -> Iterator[str]:
    """A URI at which every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"amqp://guest:guest@127.0.0.1:{taken.getsockname()[1]}/"


async def test_a_refused_connection_is_told_by_the_error_alone(
    nobody_there: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        with pytest.raises(quince_messaging.ConnectionFailed):
            quince_messaging.connect(nobody_there)
        assert caplog.records == []
        with pytest.raises(OSError, match=r"refused|Connect"):
            await aio_pika.connect(nobody_there)
        assert [record.name for record in caplog.records] == ["aiormq.connection"]


def test_what_a_broker_says_in_closing_is_told_by_the_driver_for_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger(aiormq.connection.__name__)
    said = 'Unexpected connection close from remote "%s", Connection.Close(reply_code=%r, reply_text=%r)'
    with our_connection():
        log.error(said, "ours", 320, "maintenance")
    log.error(said, "another's", 320, "maintenance")
    assert [record.getMessage().split('"')[1] for record in caplog.records] == ["another's"]
