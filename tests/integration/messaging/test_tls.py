"""`amqps://` against a real TLS listener."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import quince_messaging
from quince_messaging import ConnectionFailed
from tests.integration.messaging.tls import TlsListener, tls_listener
from tests.services import RabbitMQ

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]


@pytest.fixture(scope="module")
def listener(rabbitmq_kind: type[RabbitMQ]) -> Iterator[TlsListener]:
    with tls_listener(rabbitmq_kind) as listening:
        yield listening


async def test_a_server_with_a_good_certificate_is_used(listener: TlsListener) -> None:
    uri = listener.uri(cafile=listener.authority)
    large = "x" * 300_000  # many TLS records, and several frames
    async with quince_messaging.connect_async(uri) as one, quince_messaging.connect_async(uri) as other:
        await one.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
        assert await other.rpc_send("echo", large, timeout=10.0) == large
        await other.send_tasks(["secret"] * 500)
        assert await one.queue_size() == 500
        assert await one.purge() == 500
        listed = await asyncio.to_thread(listener.node.ctl, "list_connections", "ssl", "ssl_protocol")
        assert len(listed.splitlines()) >= 2
        assert all(line.startswith("true\ttlsv1") for line in listed.splitlines() if "ssl" not in line)


async def test_a_client_shows_its_certificate(listener: TlsListener) -> None:
    uri = listener.uri(
        cafile=listener.authority, certfile=listener.client, keyfile=listener.client_key, name="shown"
    )
    async with quince_messaging.connect_async(uri) as client:
        await client.send_tasks(["signed"])
        listed = await asyncio.to_thread(listener.node.ctl, "list_connections", "peer_cert_subject")
        assert "CN=client" in listed


REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "the authority is not known": ({}, "localhost", "cafile"),
    "the certificate is for another name": ({"cafile": "authority"}, "127.0.0.1", "host name"),
    "our own certificate is of a stranger": (
        {"cafile": "authority", "certfile": "stranger", "keyfile": "stranger_key"},
        "localhost",
        "certfile",
    ),
    "there is no such file": ({"cafile": "missing"}, "localhost", "cafile"),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_refusal_is_one_clear_sentence(listener: TlsListener, why: str) -> None:
    files, host, advice = REFUSED[why]
    options = {option: getattr(listener, name, Path("/no/such.pem")) for option, name in files.items()}
    with pytest.raises(ConnectionFailed, match=advice) as caught:
        await quince_messaging.connect_async(listener.uri(host, **options)).open()
    assert "TLS" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_plain_amqp_to_the_tls_port_is_refused(listener: TlsListener) -> None:
    plain = listener.uri().replace("amqps://", "amqp://")
    with pytest.raises(ConnectionFailed) as caught:
        await quince_messaging.connect_async(plain).open()
    assert "amqps://" in str(caught.value)
    assert "\n" not in str(caught.value)
