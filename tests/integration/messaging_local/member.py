"""A program that joins a directory and does what it is told on its standard input.

One JSON document a line: `{"do": NAME, ...}` in, `{"answer": ...}` or `{"error": [type, text]}` out,
and in between `{"event": ...}` for what arrives.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quince_messaging.contract import BroadcastMessage, SubjectFilter, TaskConsumer, TaskHandle
from quince_messaging.errors import MessagingError
from quince_messaging.transports.local import LocalTransport
from quince_messaging.transports.local import file_lock as gate
from quince_messaging.transports.local.task_db import TaskDb


class Member:
    """The transport of this process and what it was told to do with it."""

    def __init__(self, directory: str) -> None:
        self.transport = LocalTransport(Path(directory))
        self.consumers: list[TaskConsumer] = []
        self.held: list[TaskHandle] = []

    async def consume(self, queue: str, prefetch: int, settle: bool) -> None:
        def deliver(tasks: Sequence[TaskHandle]) -> None:
            for task in tasks:
                tell(event="task", body=task.body, redelivered=task.redelivered, at=time.monotonic())
                if settle:
                    task.ack({"by": os.getpid(), "body": task.body})
                else:
                    self.held.append(task)

        self.consumers.append(await self.transport.consume(deliver, queue=queue, prefetch=prefetch))

    async def ack_held(self) -> int:
        held, self.held = self.held, []
        for task in held:
            task.ack()
        return len(held)

    async def send(self, bodies: list[Any], queue: str) -> None:
        await self.transport.send_tasks(bodies, queue=queue)

    async def send_on_and_on(self, queue: str) -> None:
        """Send single tasks for ever, telling which are durable."""
        number = 0
        while True:
            await asyncio.gather(*(self.send([number + i], queue) for i in range(5)))
            number += 5
            tell(event="sent", count=number)

    async def size(self, queue: str) -> int:
        return await self.transport.queue_size(queue=queue)

    async def serve(self, identifier: str) -> None:
        async def handle(body: Any) -> Any:
            if body == "die":
                os.kill(os.getpid(), 9)
            if body == "hang":
                await asyncio.Event().wait()
            return {"by": os.getpid(), "body": body}

        await self.transport.serve(identifier, handle)

    async def call(self, identifier: str, body: Any) -> Any:
        began = time.monotonic()
        try:
            answer = await self.transport.call(identifier, body, timeout=5)
        except MessagingError as error:
            answer = type(error).__name__
        return {"answer": answer, "took": time.monotonic() - began}

    async def subscribe(self, subjects: list[str]) -> None:
        def hear(message: BroadcastMessage) -> None:
            tell(event="heard", subject=message.subject, sender=message.sender)

        await self.transport.subscribe(hear, SubjectFilter(tuple(subjects)))

    async def broadcast(self, subject: str, count: int, size: int) -> None:
        for number in range(count):
            await self.transport.broadcast([BroadcastMessage("x" * size, str(number), subject, None)])
            await asyncio.sleep(0)

    async def fork(self) -> int:
        """Fork a child that lives on after this process; it tells what it meets when it sends."""
        child = os.fork()
        if child:
            return child
        try:
            self.transport.queue_size(queue="q").send(None)
        except MessagingError as error:
            tell(event="child", error=type(error).__name__)
        signal.pause()
        os._exit(0)

    async def usage(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}

    async def hurry(self, patience: float) -> None:
        """Wait only so many seconds for those who hold the task file."""
        gate.PATIENCE = patience

    async def freeze_in_a_write(self) -> None:
        """Stop (SIGSTOP) in the middle of a transaction."""

        def stop(_: TaskDb) -> None:
            # To this very thread: of a signal to the process it might hear too late, after its commit.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

        self.transport._group_commit.run_unwatched(stop, heavy=True)

    async def become(self, user: int) -> None:
        os.setuid(user)

    async def open(self) -> float:
        began = time.monotonic()
        await self.transport.open()
        return time.monotonic() - began

    async def close(self) -> None:
        await self.transport.close()


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main() -> None:
    member = Member(sys.argv[1])
    orders = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        name = order.pop("do")
        try:
            tell(answer=await getattr(member, name)(**order))
        except MessagingError as error:
            tell(error=[type(error).__name__, str(error)])


if __name__ == "__main__":
    asyncio.run(main())
