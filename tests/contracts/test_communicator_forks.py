"""A communicator that was open when its program forked: the copy refuses, and the parent notices nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import quince_messaging
from quince_messaging import CommunicatorForked
from tests.children import Child, in_child
from tests.contracts.brokers import KINDS, broker

__all__ = ["broker"]

pytestmark = pytest.mark.parametrize("broker", KINDS[1:], indirect=True)
"""Not in memory, of which a child has its own."""


def test_the_copy_refuses_and_a_fresh_one_works(broker: str) -> None:
    with quince_messaging.connect(broker) as parents:
        parents.add_rpc_subscriber(lambda _communicator, body: body + 1, "adds")
        parents.task_send("before", no_reply=True)

        def child() -> tuple[int, int]:
            assert all(refused(call) for call in calls(parents))
            parents.close()
            parents.close()
            with quince_messaging.connect(broker) as own:
                answer = own.rpc_send("adds", 1).result(10)
                own.task_send("from the child", no_reply=True)
                return answer, own.queue_size()

        assert in_child(child) == (2, 2)
        assert parents.queue_size() == 2
        assert parents.rpc_send("adds", 2).result(10) == 3


def test_forks_in_the_middle_of_sending(broker: str) -> None:
    over = threading.Event()
    with quince_messaging.connect(broker) as parents:

        def send() -> None:
            while not over.is_set():
                parents.task_send("x", no_reply=True)

        sending = [threading.Thread(target=send) for _ in range(3)]
        for thread in sending:
            thread.start()

        def child() -> int:
            assert all(refused(call) for call in calls(parents))
            with quince_messaging.connect(broker) as own:
                own.task_send("from a child", no_reply=True, queue="children")
                return own.queue_size(queue="children")

        try:
            for number in range(1, 5):
                assert Child(child).answer() == number
        finally:
            over.set()
            for thread in sending:
                thread.join()


def calls(communicator: quince_messaging.Communicator) -> list[Callable[[], Any]]:
    return [
        lambda: communicator.task_send(1),
        lambda: communicator.task_send(1, no_reply=True),
        lambda: communicator.send_tasks([1]),
        lambda: communicator.rpc_send("x", 1),
        lambda: communicator.rpc_call("x", 1),
        lambda: communicator.rpc_cast("x", 1),
        lambda: communicator.broadcast_send(1),
        lambda: communicator.pull(),
        lambda: communicator.queue_size(),
        lambda: communicator.purge(),
        lambda: communicator.dead_letters(),
        lambda: communicator.add_task_subscriber(print),
        lambda: communicator.add_rpc_subscriber(print),
        lambda: communicator.add_broadcast_subscriber(print),
    ]


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(CommunicatorForked):
        call()
    return True
