"""Twenty thousand tasks under random faults: each seen at least once and acknowledged once, none lost.

What an acknowledgement says may be lost with the link, and what a confirmation says too. So a task that
was acknowledged comes again only if its worker's link was lost before the broker knew (at most as many
tasks for each loss as the worker holds), or if it was sent again because its confirmation never came.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

import quince_messaging
from quince_messaging import AwaitableCommunicator, DeliveryFailed, LinkState, MessagingError, TaskHandle
from tests.integration.messaging.proxy import Proxy
from tests.integration.messaging.watching import until, until_async
from tests.services import RabbitMQ

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]

TASKS = 20_000
BATCH = 100
HELD = 50
"""Tasks that a worker holds at a time."""
SEED = 20261


class Ledger:
    """Who saw what. A task is struck off once; later deliveries of it are repeats.

    Attributes:
        repeats: How often tasks came again after they were acknowledged.
        sent_again: Tasks of batches that had to be sent again.
        losses: How often a worker lost its link.
    """

    def __init__(self) -> None:
        self.repeats: Counter[int] = Counter()
        self.sent_again: set[int] = set()
        self.losses = 0
        self.confirmed: set[int] = set()
        self.seen: Counter[int] = Counter()
        self.done: set[int] = set()
        self.random = random.Random(SEED)

    def take(self, tasks: Sequence[TaskHandle]) -> None:
        for task in tasks:
            self.seen[task.body] += 1
            self.repeats[task.body] += task.body in self.done
            if self.random.random() < 0.02:
                task.requeue()
                continue
            self.done.add(task.body)
            task.ack()

    def note(self, state: LinkState) -> None:
        """Called with each state of a worker's link."""
        self.losses += state is LinkState.RECONNECTING


async def send_all(sender: AwaitableCommunicator, ledger: Ledger) -> None:
    """Send every batch until it is confirmed."""
    for start in range(0, TASKS, BATCH):
        batch = list(range(start, start + BATCH))
        while True:
            try:
                await sender.send_tasks(batch, queue="ledger")
                break
            except MessagingError as error:
                if isinstance(error, DeliveryFailed):  # any other says that nothing was sent
                    ledger.sent_again.update(batch)
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
            quince_messaging.connect_async(to_sender.uri(uri)) as sender,
            quince_messaging.connect_async(to_workers.uri(uri)) as one,
            quince_messaging.connect_async(to_workers.uri(uri)) as other,
        ):
            for worker in (one, other):
                worker.on_link(ledger.note)
                await worker.consume(ledger.take, queue="ledger", prefetch=HELD)
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
    assert ledger.losses > 0
    acknowledged_again = sum(ledger.repeats[task] for task in ledger.seen if task not in ledger.sent_again)
    assert acknowledged_again <= HELD * ledger.losses
