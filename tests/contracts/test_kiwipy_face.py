"""What every transport must do, seen through the blocking face: the manners of kiwiPy, and threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import re
import threading
import time
from typing import Any

import kiwipy
import pytest

import quince_messaging
from quince_messaging import SubjectFilter
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


def put_broadcasts(into: queue.Queue[tuple[Any, ...]]) -> Any:
    def subscriber(_comm: Any, body: Any, sender: Any, subject: Any, correlation_id: Any) -> None:
        into.put((body, sender, subject, correlation_id))

    return subscriber


def test_it_is_a_kiwipy_communicator(pair: Pair) -> None:
    assert isinstance(pair[0], kiwipy.Communicator)
    assert not pair[0].is_closed()


# RPC


def test_rpc_send_gives_a_future_and_the_subscriber_gets_the_communicator(pair: Pair) -> None:
    caller, server = pair
    seen: list[Any] = []

    def subscriber(communicator: Any, msg: Any) -> Any:
        seen.append(communicator)
        return msg * 2

    assert server.add_rpc_subscriber(subscriber, "double") == "double"
    outcome = caller.rpc_send("double", 21)
    assert isinstance(outcome, kiwipy.Future)
    assert outcome.result(SOON) == 42
    assert seen == [server]


def test_rpc_send_to_nobody_raises_on_the_spot(pair: Pair) -> None:
    with pytest.raises(kiwipy.UnroutableError):
        pair[0].rpc_send("nobody", "hello")


def test_who_has_gone_since_a_recent_answer_is_nobody_too(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.clients.rpc_client.TRUST", 60.0)
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, msg: msg, "leaving")
    assert caller.rpc_send("leaving", 1).result(SOON) == 1
    server.remove_rpc_subscriber("leaving")
    outcome = caller.rpc_send("leaving", 2)
    with pytest.raises(kiwipy.UnroutableError, match="leaving"):
        outcome.result(SOON)


def test_rpc_identifiers_may_be_numbers(pair: Pair) -> None:
    caller, server = pair
    assert server.add_rpc_subscriber(lambda _comm, msg: msg, 1234) == 1234
    assert caller.rpc_send(1234, "hi").result(SOON) == "hi"
    server.remove_rpc_subscriber(1234)
    with pytest.raises(ValueError, match="1234"):
        server.remove_rpc_subscriber(1234)


def test_a_remote_error_is_a_remote_exception(pair: Pair) -> None:
    caller, server = pair

    def fails(_comm: Any, _msg: Any) -> None:
        raise RuntimeError("out of cheese")

    server.add_rpc_subscriber(fails, "fails")
    with pytest.raises(kiwipy.RemoteException, match="out of cheese"):
        caller.rpc_send("fails", None).result(SOON)


def test_a_duplicate_rpc_identifier_is_refused(pair: Pair) -> None:
    pair[0].add_rpc_subscriber(lambda _comm, msg: msg, "taken")
    for communicator in pair:
        with pytest.raises(kiwipy.DuplicateSubscriberIdentifier):
            communicator.add_rpc_subscriber(lambda _comm, msg: msg, "taken")


def test_a_future_as_answer_arrives_as_a_future_and_so_on(pair: Pair) -> None:
    caller, server = pair
    outer: kiwipy.Future = kiwipy.Future()
    inner: kiwipy.Future = kiwipy.Future()
    server.add_rpc_subscriber(lambda _comm, _msg: outer, "promise")
    first = caller.rpc_send("promise", None).result(SOON)
    assert isinstance(first, kiwipy.Future)
    outer.set_result(inner)
    second = first.result(SOON)
    assert isinstance(second, kiwipy.Future)
    inner.set_result("at last")
    assert second.result(SOON) == "at last"


def test_a_future_that_fails_or_is_cancelled_says_so(pair: Pair) -> None:
    caller, server = pair
    failing: kiwipy.Future = kiwipy.Future()
    cancelled: kiwipy.Future = kiwipy.Future()
    server.add_rpc_subscriber(lambda _comm, msg: failing if msg == "fail" else cancelled, "promise")
    first = caller.rpc_send("promise", "fail").result(SOON)
    second = caller.rpc_send("promise", "cancel").result(SOON)
    failing.set_exception(ValueError("no"))
    cancelled.cancel()
    with pytest.raises(kiwipy.RemoteException, match="no"):
        first.result(SOON)
    with pytest.raises(kiwipy.CancelledError):
        second.result(SOON)


def test_an_asyncio_future_as_answer(pair: Pair) -> None:
    caller, server = pair
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()
    try:
        promise: asyncio.Future[int] = loop.create_future()
        server.add_rpc_subscriber(lambda _comm, _msg: promise, "promise")
        answer = caller.rpc_send("promise", None).result(SOON)
        loop.call_soon_threadsafe(promise.set_result, 5)
        assert answer.result(SOON) == 5
    finally:
        loop.call_soon_threadsafe(loop.stop)
        runner.join()
        loop.close()


def test_a_blocked_subscriber_does_not_hold_up_the_others(pair: Pair) -> None:
    caller, server = pair
    gate = threading.Event()
    server.add_rpc_subscriber(lambda _comm, _msg: gate.wait(SOON), "blocks")
    server.add_rpc_subscriber(lambda _comm, msg: msg, "quick")
    blocked = caller.rpc_send("blocks", None)
    assert caller.rpc_call("quick", 1, timeout=SOON) == 1
    assert not blocked.done()
    gate.set()
    assert blocked.result(SOON) is True


def test_many_blocked_subscribers_do_not_hold_up_the_others(pair: Pair) -> None:
    caller, server = pair
    gate = threading.Event()
    server.add_rpc_subscriber(lambda _comm, _msg: gate.wait(SOON), "blocks")
    server.add_rpc_subscriber(lambda _comm, msg: msg, "quick")
    blocked = [caller.rpc_send("blocks", None) for _ in range(200)]
    assert caller.rpc_call("quick", 1, timeout=SOON) == 1
    gate.set()
    assert all(outcome.result(SOON) for outcome in blocked)


def test_a_subscriber_may_call_itself_again_and_again(pair: Pair) -> None:
    caller, server = pair

    def fibonacci(comm: Any, n: int) -> int:
        if n < 2:
            return n
        return sum(part.result(SOON) for part in [comm.rpc_send("fib", n - 1), comm.rpc_send("fib", n - 2)])

    server.add_rpc_subscriber(fibonacci, "fib")
    assert caller.rpc_send("fib", 10).result(SOON) == 55


def test_a_subscriber_may_itself_call(pair: Pair) -> None:
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, msg: msg + 1, "inner")
    server.add_rpc_subscriber(lambda comm, msg: comm.rpc_send("inner", msg).result(SOON) * 10, "outer")
    assert caller.rpc_send("outer", 1).result(SOON) == 20


def test_a_server_that_closes_says_so_to_those_who_wait(broker: str) -> None:
    called, go_on = threading.Event(), threading.Event()

    def blocks(_comm: Any, _msg: Any) -> None:
        called.set()
        go_on.wait(SOON)

    with quince_messaging.connect(broker) as caller:
        with quince_messaging.connect(broker) as server:
            server.add_rpc_subscriber(blocks, "blocks")
            outcome = caller.rpc_send("blocks", None)
            assert called.wait(SOON)
        with pytest.raises(quince_messaging.DeliveryFailed):
            outcome.result(SOON)
    go_on.set()


# Broadcast


def test_a_broadcast_arrives_whole(pair: Pair) -> None:
    sender, receiver = pair
    seen: queue.Queue[tuple[Any, ...]] = queue.Queue()
    receiver.add_broadcast_subscriber(put_broadcasts(seen))
    assert sender.broadcast_send({"body": 1}, sender=7, subject="sub.ject", correlation_id=9) is True
    assert seen.get(timeout=SOON) == ({"body": 1}, 7, "sub.ject", 9)


@pytest.mark.parametrize(
    ("subject", "sender"),
    [
        ("purchase.*", None),
        ("purchase.car", None),
        ("purch*", None),
        ("*.car", None),
        (re.compile("purchase[.]car"), None),
        (re.compile("purchases?"), None),
        (re.compile("purchase|sale"), None),
        (re.compile("PURCHASE", re.IGNORECASE), None),
        (re.compile("^sale$"), None),
        (None, "bob.*"),
        (None, 7),
        ("sale*", 7),
    ],
)
def test_filters_let_through_what_kiwipy_lets_through(pair: Pair, subject: Any, sender: Any) -> None:
    talker, receiver = pair
    seen: queue.Queue[tuple[Any, ...]] = queue.Queue()
    end: queue.Queue[tuple[Any, ...]] = queue.Queue()
    chosen = kiwipy.BroadcastFilter(put_broadcasts(seen), subject=subject, sender=sender)
    receiver.add_broadcast_subscriber(chosen)
    receiver.add_broadcast_subscriber(
        put_broadcasts(end), wanted=SubjectFilter(subjects=("end",), senders=("end",))
    )
    subjects = ("purchase.car", "purchase.car.red", "purchased", "purchas", "sale", "sales", "car", None)
    senders = ("bob.jones", "alice", None) if isinstance(sender, str) else ("bob.jones", 7, None)
    spoken = [(about, who) for about in subjects for who in senders]
    for about, who in spoken:
        talker.broadcast_send("body", sender=who, subject=about)
    expected = [(about, who) for about, who in spoken if not chosen.is_filtered(who, about)]
    heard = [seen.get(timeout=SOON) for _ in expected]
    talker.broadcast_send("body", sender="end", subject="end")
    end.get(timeout=SOON)
    heard += [item for item in seen.queue if item[1] != "end"]
    assert [(about, who) for _, who, about, _ in heard] == expected


def test_broadcasts_of_one_thread_arrive_in_order(pair: Pair) -> None:
    sender, receiver = pair
    seen: queue.Queue[tuple[Any, ...]] = queue.Queue()
    receiver.add_broadcast_subscriber(put_broadcasts(seen))
    for n in range(5000):
        sender.broadcast_send(n, subject="count")
    assert [seen.get(timeout=SOON)[0] for _ in range(5000)] == list(range(5000))


def test_removed_broadcast_subscribers_hear_nothing(pair: Pair) -> None:
    sender, receiver = pair
    gone: queue.Queue[tuple[Any, ...]] = queue.Queue()
    stays: queue.Queue[tuple[Any, ...]] = queue.Queue()
    assert receiver.add_broadcast_subscriber(put_broadcasts(gone), "gone") == "gone"
    with pytest.raises(kiwipy.DuplicateSubscriberIdentifier):
        receiver.add_broadcast_subscriber(put_broadcasts(gone), "gone")
    receiver.add_broadcast_subscriber(put_broadcasts(stays))
    receiver.remove_broadcast_subscriber("gone")
    with pytest.raises(ValueError, match="gone"):
        receiver.remove_broadcast_subscriber("gone")
    sender.broadcast_send(1)
    stays.get(timeout=SOON)
    assert gone.empty()


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_a_failing_broadcast_subscriber_goes_on(
    pair: Pair, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    sender, receiver = pair
    seen: queue.Queue[Any] = queue.Queue()

    def fails(_comm: Any, body: Any, *_: Any) -> None:
        seen.put(body)
        raise kind("subscriber trouble")

    receiver.add_broadcast_subscriber(fails)
    for n in range(3):
        sender.broadcast_send(n)
        assert seen.get(timeout=SOON) == n
    assert "subscriber trouble" in caplog.text


def test_a_body_that_cannot_be_broadcast_raises_on_the_spot(pair: Pair) -> None:
    with pytest.raises(TypeError):
        pair[0].broadcast_send(object())


# The communicator itself


def test_many_threads_at_once(pair: Pair) -> None:
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")

    def work(n: int) -> bool:
        return all(caller.rpc_send("echo", [n, i]).result(SOON) == [n, i] for i in range(20))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


def test_closing_is_prompt_idempotent_and_final(broker: str) -> None:
    communicator = quince_messaging.connect(broker)
    blocked = threading.Event()
    communicator.add_rpc_subscriber(lambda _comm, _msg: blocked.wait(SOON), "blocks")
    pending = communicator.rpc_send("blocks", None)
    began = time.monotonic()
    closers = [threading.Thread(target=communicator.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(SOON)
    communicator.close()
    assert time.monotonic() - began < 2.0
    assert communicator.is_closed()
    with pytest.raises(kiwipy.CommunicatorClosed):
        communicator.task_send("too late")
    with pytest.raises(kiwipy.CommunicatorClosed):
        communicator.broadcast_send("too late")
    with pytest.raises((kiwipy.CommunicatorClosed, kiwipy.CancelledError)):
        pending.result(SOON)
    blocked.set()


def test_close_callbacks_are_called_once(broker: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: queue.Queue[tuple[Any, ...]] = queue.Queue()

    def tell(*args: Any) -> None:
        heard.put(args)

    def forgotten(*_args: Any) -> None:
        heard.put(("forgotten",))

    communicator = quince_messaging.connect(broker)
    communicator.add_close_callback(tell)
    communicator.add_close_callback(tell)
    communicator.add_close_callback(lambda *_: 1 / 0)
    communicator.add_close_callback(kept := lambda *_: heard.put(("kept",)), weak=True)
    communicator.add_close_callback(forgotten, True)
    del forgotten
    with pytest.raises(ValueError, match="callable"):
        communicator.add_close_callback(None)  # type: ignore[arg-type]
    communicator.close()
    communicator.close()
    assert {heard.get(timeout=SOON) for _ in range(2)} == {(communicator, None), ("kept",)}
    with pytest.raises(queue.Empty):
        heard.get(timeout=0.1)
    assert "a close callback failed" in caplog.text
    with pytest.raises(quince_messaging.CommunicatorClosed):
        communicator.add_close_callback(kept)


def test_server_properties_are_those_of_a_broker(broker: str, pair: Pair) -> None:
    properties = pair[0].server_properties
    assert properties.get("product") == ("RabbitMQ" if broker.startswith("amqp") else None)
    properties.clear()
    assert bool(pair[0].server_properties) == broker.startswith("amqp")
