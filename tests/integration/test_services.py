"""The private servers keep what they promise: same port, data kept, nothing left behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aio_pika
import psutil
import psycopg
import pytest

from tests.services import Postgres, RabbitMQ


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


@pytest.mark.postgres
@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill])
def test_postgres_comes_back_with_its_data(
    postgres_server: Postgres, postgres_url: str, end: Callable[[Postgres], None]
) -> None:
    with _connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (7)")
    end(postgres_server)
    with pytest.raises(psycopg.OperationalError):
        _connect(postgres_url)
    postgres_server.start()
    with _connect(postgres_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


@pytest.mark.postgres
def test_a_new_database_is_empty_and_durable(postgres_url: str) -> None:
    with _connect(postgres_url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchone() == (0,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("end", [RabbitMQ.stop, RabbitMQ.kill])
async def test_rabbitmq_comes_back_with_its_messages(
    rabbitmq_server: RabbitMQ, rabbitmq_url: str, end: Callable[[RabbitMQ], None]
) -> None:
    message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True)
        await channel.default_exchange.publish(message, "kept")
    end(rabbitmq_server)
    rabbitmq_server.start()
    async with await aio_pika.connect(rabbitmq_url) as connection:
        queue = await (await connection.channel()).declare_queue("kept", durable=True)
        kept = await queue.get(no_ack=True)
        assert kept is not None
        assert kept.body == b"kept"


@pytest.mark.rabbitmq
@pytest.mark.postgres
def test_nothing_is_left_when_the_owner_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-m", "tests.services"], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    lines = [owner.stdout.readline() for _ in range(2)]
    assert [line.split("=")[0] for line in lines] == ["QUINCE_BROKER", "QUINCE_STORE"]
    family = psutil.Process(owner.pid).children(recursive=True)
    folders = set()
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # they start helpers that end at once
            if process.name() in ("epmd", "beam.smp"):
                folders.add(Path(process.cwd()))
    assert len(folders) == 1

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    deadline = time.monotonic() + 15
    while any(_lives(process) for process in family) or any(folder.exists() for folder in folders):
        assert time.monotonic() < deadline, [process for process in family if _lives(process)]
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
