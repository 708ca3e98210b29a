"""What every transport must do with calls of the blocking face, one by one and many at once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import kiwipy
import pytest

import quince_messaging
from quince_messaging import MessageTimeout
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


def test_a_call_waits_for_an_answer_that_comes_later(pair: Pair) -> None:
    caller, server = pair
    inner: kiwipy.Future = kiwipy.Future()
    outer: kiwipy.Future = kiwipy.Future()
    outer.set_result(inner)
    server.add_rpc_subscriber(lambda _comm, _msg: outer, "promise")
    threading.Timer(0.05, inner.set_result, ["at last"]).start()
    assert caller.rpc_call("promise", None, timeout=SOON) == "at last"


def test_the_time_of_a_call_is_for_all_of_its_answer(pair: Pair) -> None:
    caller, server = pair
    never: kiwipy.Future = kiwipy.Future()
    server.add_rpc_subscriber(lambda _comm, _msg: never, "never")
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    for _ in range(3):
        with pytest.raises(MessageTimeout, match="'never'"):
            caller.rpc_call("never", None, timeout=0.05)
    never.set_result("too late")
    assert caller.rpc_call("echo", "as ever", timeout=SOON) == "as ever"


def test_a_call_that_nobody_waits_for_any_more_disturbs_nobody(pair: Pair) -> None:
    caller, server = pair
    gate = threading.Event()
    server.add_rpc_subscriber(lambda _comm, _msg: gate.wait(SOON), "slow")
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    outcome = caller.rpc_send("slow", None)
    assert outcome.cancel()
    gate.set()
    assert [caller.rpc_call("echo", number, timeout=SOON) for number in range(20)] == list(range(20))


def test_calls_of_one_thread_arrive_in_order(broker: str) -> None:
    """Alone, in bursts, and alone again while others are still on their way."""
    numbers = iter(range(10_000))
    with quince_messaging.connect(broker) as caller, noting(broker, caller) as seen:
        for burst in (1, 1, 7, 1, 2, 40, 1, 1, 3, 200, 1):
            sent = [caller.rpc_send("note", next(numbers)) for _ in range(burst)]
            time.sleep(0.0003 * (burst % 3))
            sent[-1].result(SOON)
            caller.rpc_send("note", next(numbers))
        caller.rpc_call("note", next(numbers), timeout=SOON)
    assert seen == list(range(next(numbers)))


@contextlib.contextmanager
def noting(broker: str, caller: quince_messaging.Communicator) -> Iterator[list[int]]:
    """Somebody on a loop, which begins calls in the order in which they came, and the bodies he notes."""
    seen: list[int] = []
    done = threading.Event()
    serving = threading.Thread(target=_serve_in_order, args=(broker, seen, done))
    serving.start()
    try:
        _until_served(caller)
        seen.clear()
        yield seen
    finally:
        done.set()
        serving.join()


def _serve_in_order(broker: str, seen: list[int], done: threading.Event) -> None:
    """On a loop, which begins calls in the order in which they came."""

    async def serve() -> None:
        async with quince_messaging.connect_async(broker) as server:
            await server.add_rpc_subscriber(lambda _comm, number: seen.append(number), "note")
            await asyncio.to_thread(done.wait)

    asyncio.run(serve())


def _until_served(caller: quince_messaging.Communicator) -> None:
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        try:
            caller.rpc_call("note", -1, timeout=SOON)
        except kiwipy.UnroutableError:
            time.sleep(0.005)
        else:
            return
    raise TimeoutError("nobody serves")


def test_threads_that_call_one_by_one_get_each_its_own_answers(pair: Pair) -> None:
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")

    def work(thread: int) -> list[Any]:
        return [caller.rpc_call("echo", [thread, number], timeout=SOON) for number in range(100)]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(work, range(6)))
    assert results == [[[thread, number] for number in range(100)] for thread in range(6)]


def test_large_calls_and_answers_pass_between_small_ones(pair: Pair) -> None:
    """Larger than what a socket takes at once."""
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    large = b"x" * 3_000_000

    def work(thread: int) -> bool:
        return all(
            caller.rpc_call("echo", body, timeout=60) == body
            for body in [thread, large, b"y" * thread, large[: 300_000 * thread]] * 2
        )

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(3)))
    assert work(1)
