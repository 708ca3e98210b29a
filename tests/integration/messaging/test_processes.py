"""Communicators in processes of their own: killed, forked, and left open at the end."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

import quince_messaging
from quince_messaging import MessagingError, SubjectFilter, TaskHandle
from tests.contracts.brokers import broker
from tests.integration.messaging.children import child, line
from tests.integration.messaging.watching import until

__all__ = ["broker"]

KINDS = ["local", pytest.param("amqp", marks=pytest.mark.rabbitmq)]
several_processes = pytest.mark.parametrize("broker", KINDS, indirect=True)


@several_processes
async def test_tasks_of_a_killed_consumer_go_to_another(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as client:
        with child("hold_tasks", broker) as worker:
            assert line(worker) == "ready"
            await client.send_tasks(list(range(10)))
            assert await asyncio.to_thread(line, worker) == "taken"
            seen: list[TaskHandle] = []

            def take(tasks: Sequence[TaskHandle]) -> None:
                seen.extend(tasks)
                for task in tasks:
                    task.ack()

            await client.consume(take, prefetch=20)
            os.kill(worker.pid, signal.SIGKILL)
            took = await until(lambda: len(seen) == 10, what="the redelivery")
        assert took < 2.0
        assert sorted(task.body for task in seen) == list(range(10))
        assert all(task.redelivered for task in seen)


@several_processes
async def test_a_call_to_a_killed_server_fails_and_does_not_hang(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as client:
        with child("hang_in_call", broker) as server:
            assert line(server) == "ready"
            call = asyncio.create_task(client.rpc_send("hangs", 1))
            await asyncio.sleep(0.2)
            assert not call.done()
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(MessagingError):
                await asyncio.wait_for(call, 15)


@several_processes
async def test_a_killed_server_keeps_no_promise(broker: str) -> None:
    """It had answered with a future."""
    async with quince_messaging.connect_async(broker) as client:
        with child("promise", broker) as server:
            assert line(server) == "ready"
            promised = await asyncio.wait_for(client.rpc_send("promises", 1), 15)
            assert isinstance(promised, asyncio.Future)
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(MessagingError):
                await asyncio.wait_for(promised, 15)


@several_processes
async def test_a_call_that_takes_long_is_waited_for(broker: str) -> None:
    async with (
        quince_messaging.connect_async(broker) as client,
        quince_messaging.connect_async(broker) as server,
    ):

        async def slow(_comm: Any, msg: Any) -> Any:
            await asyncio.sleep(8)
            return msg

        await server.add_rpc_subscriber(slow, "slow")
        assert await client.rpc_send("slow", "patience") == "patience"


@several_processes
def test_a_program_that_just_ends_does_not_hang(broker: str) -> None:
    heard: queue.Queue[Any] = queue.Queue()
    with quince_messaging.connect(broker) as listener:
        wanted = SubjectFilter(subjects=("last.words",))
        listener.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(body), wanted=wanted)
        began = time.monotonic()
        with child("just_end", broker) as program:
            assert line(program) == "ready"
            assert program.wait(10) == 0
        assert time.monotonic() - began < 8
        assert heard.get(timeout=10) == "good-bye"


@several_processes
def test_a_forked_child_is_refused_and_the_parent_goes_on(broker: str) -> None:
    with child("fork_and_use", broker) as program:
        output, _ = program.communicate(timeout=20)
    lines = output.splitlines()
    assert lines[0].startswith("refused: this communicator was opened before fork()")
    assert lines[1:] == ["parent: 1 task"]
    assert program.returncode == 0


@several_processes
def test_a_child_forked_in_a_subscriber_does_not_answer_for_its_parent(broker: str) -> None:
    with child("fork_in_a_subscriber", broker) as program:
        output, _ = program.communicate(timeout=30)
    assert output.splitlines() == ["['parent', 'parent', 'parent']"]


def test_importing_messaging_is_quick_and_loads_no_broker() -> None:
    code = (
        "import sys, quince_messaging; quince_messaging.connect('memory://x').close(); "
        "print([m for m in ('aio_pika', 'aiormq', 'pamqp', 'sqlite3', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
