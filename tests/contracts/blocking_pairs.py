"""Two communicators of one broker, in blocking code: what the suites of the kiwiPy face share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import quince_messaging
from quince_messaging import Communicator
from tests.contracts.brokers import broker

__all__ = ["SOON", "Pair", "blocking_pair", "broker"]

Pair = tuple[Communicator, Communicator]
SOON = 10.0


@pytest.fixture(name="pair")
def blocking_pair(broker: str) -> Iterator[Pair]:
    """Two communicators of one broker."""
    with quince_messaging.connect(broker) as one, quince_messaging.connect(broker) as other:
        yield one, other
