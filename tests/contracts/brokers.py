"""Every kind of broker, for suites that must hold on all of them.

A test that asks for `broker` runs once for each kind, on a namespace of its own. With
`QUINCE_TEST_AMQP_URI` (without a query) the AMQP part runs against that node, of whatever version.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.services import RabbitMQ

KINDS = [
    "memory",
    "local",
    pytest.param("amqp", marks=pytest.mark.rabbitmq),
]
_numbers = itertools.count(1)


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a broker that nobody else uses."""
    number = next(_numbers)
    if request.param == "memory":
        return f"memory://contract-{number}"
    if request.param == "local":
        return f"local://{tmp_path / 'broker'}"
    if given := os.environ.get("QUINCE_TEST_AMQP_URI"):  # a node of another version, say
        return f"{given}?prefix=contract-{os.getpid()}-{number}"
    server: RabbitMQ = request.getfixturevalue("rabbitmq_server")
    server.start()
    return f"{server.uri()}?prefix=contract-{number}"
