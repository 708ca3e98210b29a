"""Where one may wait: in every subscriber, but not in a callback of a future, which says so."""

from __future__ import annotations

import concurrent.futures
import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

from quince_messaging import Communicator
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


def everything_that_waits(communicator: Communicator) -> list[Any]:
    """Call what blocks, in every way; the answers."""
    communicator.send_tasks([2], queue="q")
    communicator.task_send(3, no_reply=True, queue="q")
    by_task = communicator.task_send(4, queue="work")
    assert by_task is not None
    communicator.broadcast_send(5)
    communicator.flush()
    name = communicator.add_rpc_subscriber(lambda _comm, msg: msg + 1)
    answers = [
        communicator.queue_size(queue="q"),
        communicator.rpc_call("echo", 6, timeout=SOON),
        communicator.rpc_send("echo", 7).result(SOON),
        communicator.rpc_send(name, 7).result(SOON),
        by_task.result(SOON),
    ]
    communicator.remove_rpc_subscriber(name)
    communicator.purge(queue="q")
    return answers


ANSWERS = [2, 6, 7, 8, 4]


def test_every_kind_of_subscriber_may_wait(pair: Pair) -> None:
    near, far = pair
    near.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    near.add_task_subscriber(lambda _comm, task: task, queue="work")
    heard: queue.Queue[list[Any]] = queue.Queue()
    far.add_rpc_subscriber(lambda comm, _msg: everything_that_waits(comm), "waits")
    far.add_task_subscriber(lambda comm, _task: everything_that_waits(comm), queue="waits")

    def hears(comm: Any, body: Any, *_about: Any) -> None:
        if body == "begin":
            heard.put(everything_that_waits(comm))

    far.add_broadcast_subscriber(hears)
    assert near.rpc_call("waits", None, timeout=SOON) == ANSWERS
    by_task = near.task_send(None, queue="waits")
    assert by_task is not None
    assert by_task.result(SOON) == ANSWERS
    near.broadcast_send("begin")
    assert heard.get(timeout=SOON) == ANSWERS


def in_a_callback(communicator: Communicator, call: Callable[[], Any]) -> Any:
    """What a call in a callback of one of our futures gives, or the error that it raises."""
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def called_back(_done: Any) -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    communicator.rpc_send("slow", None).add_done_callback(called_back)
    return outcome.result(SOON)


@pytest.fixture
def caller(pair: Pair) -> Communicator:
    near, far = pair
    far.add_rpc_subscriber(
        lambda _comm, _msg: time.sleep(0.02), "slow"
    )  # so that the callback is there first
    far.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    far.add_task_subscriber(lambda _comm, task: task)
    return near


def test_callbacks_may_send_and_their_futures_end(caller: Communicator) -> None:
    by_task = in_a_callback(caller, lambda: caller.task_send(1))
    assert by_task.result(SOON) == 1
    by_call = in_a_callback(caller, lambda: caller.rpc_send("echo", 2))
    assert by_call.result(SOON) == 2
    nobody = in_a_callback(caller, lambda: caller.rpc_send("nobody", 3))
    with pytest.raises(Exception, match="nobody"):
        nobody.result(SOON)
    assert in_a_callback(caller, lambda: caller.broadcast_send(4)) is True
    on_disk = in_a_callback(caller, lambda: caller.task_send(5, no_reply=True, wait=False))
    assert on_disk.result(SOON) is None


WAITS: dict[str, Callable[[Communicator], Any]] = {
    "result": lambda caller: caller.rpc_send("echo", 1).result(SOON),
    "exception": lambda caller: caller.rpc_send("echo", 1).exception(),
    "rpc_call": lambda caller: caller.rpc_call("echo", 1),
    "rpc_cast": lambda caller: caller.rpc_cast("echo", 1),
    "send_tasks": lambda caller: caller.send_tasks([1]),
    "flush": lambda caller: caller.flush(),
    "queue_size": lambda caller: caller.queue_size(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_callbacks_that_wait_are_told_what_to_do_instead(caller: Communicator, wait: str) -> None:
    with pytest.raises(RuntimeError, match="on_pool"):
        in_a_callback(caller, lambda: WAITS[wait](caller))
    assert caller.rpc_call("echo", "still there", timeout=SOON) == "still there"


def test_on_the_pool_callbacks_may_wait(caller: Communicator) -> None:
    answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
    caller.rpc_send("slow", None).add_done_callback(
        lambda _done: caller.on_pool(lambda: answer.set_result(caller.rpc_call("echo", 1, timeout=SOON)))
    )
    assert answer.result(SOON) == 1
