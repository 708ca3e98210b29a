"""Twenty thousand tasks under random faults: each seen at least once and acknowledged once, none lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

import messaging
from messaging import AwaitableCommunicator, LinkState, MessagingError, TaskHandle
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.watching import until, until_async
from tests.services import RabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]

TASKS = 20_000
BATCH = 100
SEED = 20261


class Ledger:
    """Who saw what. A task is struck off once; later deliveries of it are repeats."""

    def __init__(self) -> None:
        self.confirmed: set[int] = set()
        self.seen: Counter[int] = Counter()
        self.done: set[int] = set()
        self.random = random.Random(SEED)

    def take(self, tasks: Sequence[TaskHandle]) -> None:
        for task in tasks:
            self.seen[task.body] += 1
            if self.random.random() < 0.02:
                task.requeue()
                continue
            self.done.add(task.body)
            task.ack()


async def send_all(sender: AwaitableCommunicator, ledger: Ledger) -> None:
    """Send every batch until it is confirmed."""
    for start in range(0, TASKS, BATCH):
        batch = list(range(start, start + BATCH))
        while True:
            try:
                await sender.send_tasks(batch, queue="ledger")
                break
            except MessagingError:
                await asyncio.sleep(0.05)
        ledger.confirmed.update(batch)


def kill_and_start(node: RabbitMQ) -> None:
    node.kill()
    node.start()


async def make_trouble(node: RabbitMQ, proxies: Sequence[Proxy], stop: asyncio.Event) -> list[str]:
    """One fault after the other, in an order that the seed fixes."""
    chosen = random.Random(SEED)
    done: list[str] = []

    def frozen_for_a_while(proxy: Proxy) -> None:
        proxy.freeze()
        asyncio.get_running_loop().call_later(chosen.uniform(0.1, 5.0), proxy.thaw)

    small: dict[str, Callable[[], object]] = {
        "cut": lambda: chosen.choice(proxies).cut(),
        "freeze": lambda: frozen_for_a_while(chosen.choice(proxies)),
    }
    big: dict[str, Callable[[], object]] = {
        "close": lambda: node.ctl("close_all_connections", "trouble"),
        "restart": node.restart,
        "kill": lambda: kill_and_start(node),
    }
    plan = ["cut", "freeze", "close", "cut", "restart", "freeze", "cut", "kill", "cut"]
    for name in plan:
        if stop.is_set():
            break
        if name in small:
            small[name]()
        else:
            await asyncio.to_thread(big[name])
        done.append(name)
        await asyncio.sleep(chosen.uniform(0.3, 1.0))
    return done


async def is_empty(communicator: AwaitableCommunicator) -> bool:
    return await communicator.queue_size(queue="ledger") == 0


async def test_no_task_is_lost(node: RabbitMQ, uri: str) -> None:
    ledger = Ledger()
    stop = asyncio.Event()
    with Proxy("127.0.0.1", node.port) as to_sender, Proxy("127.0.0.1", node.port) as to_workers:
        async with (
            messaging.connect_async(to_sender.uri(uri)) as sender,
            messaging.connect_async(to_workers.uri(uri)) as one,
            messaging.connect_async(to_workers.uri(uri)) as other,
        ):
            for worker in (one, other):
                await worker.consume(ledger.take, queue="ledger", prefetch=50)
            trouble = asyncio.create_task(make_trouble(node, (to_sender, to_workers), stop))
            await send_all(sender, ledger)
            faults = await trouble
            await until(lambda: len(ledger.done) == TASKS, within=120, what="the last task")
            for communicator in (sender, one, other):
                await until(lambda c=communicator: c.state is LinkState.CONNECTED, within=60)  # type: ignore[misc]

            await until_async(lambda: is_empty(sender), within=60)
    assert len(faults) == 9
    assert ledger.confirmed == set(range(TASKS)) == set(ledger.seen) == ledger.done
    assert sum(ledger.seen.values()) > TASKS  # the faults were felt
