"""A private RabbitMQ behind a proxy that makes trouble."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.integration.messaging.proxy import Proxy
from tests.services import RabbitMQ

_numbers = itertools.count(1)


@pytest.fixture
def node(rabbitmq_server: RabbitMQ) -> Iterator[RabbitMQ]:
    """The node itself, running before and after."""
    rabbitmq_server.start()
    yield rabbitmq_server
    rabbitmq_server.start()


@pytest.fixture
def uri(node: RabbitMQ) -> str:
    """The node under a prefix that nobody else uses, with heartbeats of a second."""
    return f"{node.uri()}?prefix=faults-{next(_numbers)}&heartbeat=1"


@pytest.fixture
def proxy(node: RabbitMQ) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", node.port) as between:
        yield between
