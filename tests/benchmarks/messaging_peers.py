"""The programs that the messaging benchmark compares: one client and one server for each of them.

`python -m tests.benchmarks.messaging_peers KIND URI` is a server process; it ends when its standard
input does.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import aio_pika
import kiwipy
from kiwipy.rmq import RmqThreadCommunicator

import quince_messaging
from quince_messaging import SubjectFilter
from quince_messaging.clients.blocking import TASK_PREFETCH
from quince_messaging.wire import envelope

QUEUE = "bench"
SUBJECT = "bench.news"


class KiwiClient:
    """Any `kiwipy.Communicator`: kiwiPy's own and ours are driven by the same lines."""

    def __init__(self, communicator: Any) -> None:
        self.communicator = communicator

    def tasks(self, count: int) -> None:
        for number in range(count):
            self.communicator.task_send({"number": number}, no_reply=True)

    def tasks_pipelined(self, count: int) -> None:
        """Durability is waited for in the end; kiwiPy can only wait for each."""
        if not isinstance(self.communicator, quince_messaging.Communicator):
            self.tasks(count)
            return
        send = self.communicator.task_send
        for future in [send({"number": n}, no_reply=True, wait=False) for n in range(count)]:
            if future is not None:
                future.result(60)

    def tasks_with_reply(self, count: int) -> None:
        for future in [self.communicator.task_send({"number": number}) for number in range(count)]:
            future.result(60)

    def calls(self, count: int) -> None:
        for number in range(count):
            self.communicator.rpc_send("bench-echo", {"number": number}).result(60)

    def calls_pipelined(self, count: int) -> None:
        for future in [
            self.communicator.rpc_send("bench-echo", {"number": number}) for number in range(count)
        ]:
            future.result(60)

    def broadcasts(self, count: int) -> None:
        for number in range(count):
            self.communicator.broadcast_send({"number": number}, sender="bench", subject=SUBJECT)

    def counted(self) -> tuple[int, int]:
        tasks, broadcasts = self.communicator.rpc_send("bench-counts", None).result(60)
        return tasks, broadcasts

    def close(self) -> None:
        self.communicator.close()


class KiwiServer:
    """Subscribers on any `kiwipy.Communicator`."""

    def __init__(self, communicator: Any) -> None:
        self.tasks = 0
        self.broadcasts = 0
        self._lock = threading.Lock()
        communicator.add_rpc_subscriber(lambda _comm, msg: msg, "bench-echo")
        communicator.add_rpc_subscriber(lambda _comm, _msg: [self.tasks, self.broadcasts], "bench-counts")
        communicator.add_task_subscriber(self._task)
        communicator.add_broadcast_subscriber(kiwipy.BroadcastFilter(self._broadcast, subject="bench.*"))

    def _task(self, _comm: Any, task: Any) -> Any:
        with self._lock:
            self.tasks += 1
        return task

    def _broadcast(self, *_message: Any) -> None:
        self.broadcasts += 1


def open_kiwipy(uri: str) -> Any:
    return RmqThreadCommunicator.connect(uri)


def open_quince(uri: str) -> Any:
    return quince_messaging.connect(uri)


class BareClient:
    """aio-pika and nothing else, as fast as it goes one by one: the limit to compare with."""

    def __init__(self, uri: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._open(uri))

    async def _open(self, uri: str) -> None:
        self._connection = await aio_pika.connect(uri)
        self._channel = await self._connection.channel()
        self._queue = await self._channel.declare_queue("bare-tasks", durable=True)

    def tasks(self, count: int) -> None:
        async def send() -> None:
            for number in range(count):
                await self._publish(number)

        self._loop.run_until_complete(send())

    def tasks_in_batches(self, count: int, size: int) -> None:
        """The same, confirmed by the batch."""

        async def send() -> None:
            for start in range(0, count, size):
                await asyncio.gather(*(self._publish(number) for number in range(start, start + size)))

        self._loop.run_until_complete(send())

    async def _publish(self, number: int) -> None:
        body = envelope.encode(envelope.Task({"number": number}))
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._channel.default_exchange.publish(message, "bare-tasks")

    def waiting(self) -> int:
        async def size() -> int:
            declared = await self._channel.declare_queue("bare-tasks", durable=True)
            return declared.declaration_result.message_count or 0

        return self._loop.run_until_complete(size())

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


async def serve_bare(uri: str, told: Callable[[], None]) -> None:
    """Consume and acknowledge with bare aio-pika."""
    connection = await aio_pika.connect(uri)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=TASK_PREFETCH)
    queue = await channel.declare_queue("bare-tasks", durable=True)

    async def consumed(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        envelope.decode(message.body)
        await message.ack()

    await queue.consume(consumed)
    told()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await connection.close()


def until_counted(client: KiwiClient, tasks: int, broadcasts: int) -> None:
    """Wait until the server has seen so many."""
    while True:
        seen = client.counted()
        if seen[0] >= tasks and seen[1] >= broadcasts:
            return
        time.sleep(0.002)


def flat_broadcasts(uri: str, others: int, count: int) -> float:
    """Seconds per broadcast to one subscriber, beside `others` subscribers of other subjects."""
    with quince_messaging.connect(uri) as sender, quince_messaging.connect(uri) as receiver:
        for number in range(others):
            wanted = SubjectFilter(subjects=(f"other.{number}",))
            receiver.add_broadcast_subscriber(lambda *_: None, wanted=wanted)
        seen = threading.Semaphore(0)
        wanted = SubjectFilter(subjects=(SUBJECT,))
        receiver.add_broadcast_subscriber(lambda *_: seen.release(), wanted=wanted)
        began = time.perf_counter()
        for number in range(count):
            sender.broadcast_send(number, subject=SUBJECT)
        for _ in range(count):
            seen.acquire(timeout=60)
        return (time.perf_counter() - began) / count


def main(arguments: Sequence[str]) -> None:
    kind, uri = arguments
    if kind == "bare":
        asyncio.run(serve_bare(uri, _ready))
        return
    communicator = open_kiwipy(uri) if kind == "kiwipy" else open_quince(uri)
    KiwiServer(communicator)
    _ready()
    sys.stdin.read()
    communicator.close()


def _ready() -> None:
    print("ready", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
