"""What every transport must do when a subscriber fails in odd ways, or a message cannot travel."""

from __future__ import annotations

import logging
from typing import Any

import kiwipy
import pytest

import quince_messaging
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]

BEYOND_EXCEPTION = [SystemExit("leave me"), KeyboardInterrupt("leave me"), GeneratorExit("leave me")]


@pytest.mark.parametrize("raised", BEYOND_EXCEPTION, ids=lambda error: type(error).__name__)
def test_a_subscriber_may_raise_more_than_exceptions(pair: Pair, raised: BaseException) -> None:
    caller, server = pair
    promise: kiwipy.Future = kiwipy.Future()

    def leaves(_comm: Any, msg: Any) -> Any:
        if msg == "later":
            return promise
        raise raised

    server.add_rpc_subscriber(leaves, "leaves")
    later = caller.rpc_send("leaves", "later").result(SOON)
    promise.set_exception(raised)
    for outcome in [later, *(caller.rpc_send("leaves", n) for n in range(5))]:
        with pytest.raises(quince_messaging.RemoteError, match="leave me") as caught:
            outcome.result(SOON)
        assert caught.value.type_name == type(raised).__name__


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


AWKWARD = {
    "unspeakable": (Unspeakable(), "Unspeakable", "RuntimeError was raised"),
    "half a character": (ValueError("half \udc80"), "ValueError", r"half \\udc80"),
    "stop": (StopIteration("enough"), "StopIteration", "enough"),
    "long": (ValueError("begin" + 70_000_000 * "x" + "end"), "ValueError", "(?s)begin.*left out.*end"),
}


@pytest.mark.parametrize("awkward", AWKWARD)
def test_awkward_errors_are_told_too(pair: Pair, awkward: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "quince_messaging")  # pytest-xdist cannot carry half characters
    caller, server = pair
    error, name, text = AWKWARD[awkward]
    promise: kiwipy.Future = kiwipy.Future()

    def fails(_comm: Any, msg: Any) -> Any:
        if msg == "later":
            return promise
        raise error

    server.add_rpc_subscriber(fails, "fails")
    server.add_task_subscriber(fails)
    by_call = caller.rpc_send("fails", "now")
    by_task = caller.task_send("now")
    by_promise = caller.rpc_send("fails", "later").result(SOON)
    promise.set_exception(error)
    for outcome in (by_call, by_task, by_promise):
        assert outcome is not None
        with pytest.raises(quince_messaging.RemoteError, match=text) as caught:
            outcome.result(SOON)
        assert caught.value.type_name.endswith(name)


@pytest.mark.parametrize("result", ["half \udc80", 2**70, object()], ids=["half", "large", "object"])
def test_a_result_that_cannot_travel_is_an_error(pair: Pair, result: Any) -> None:
    caller, server = pair
    server.add_rpc_subscriber(lambda _comm, _msg: result, "gives")
    server.add_task_subscriber(lambda _comm, _msg: result)
    for outcome in (caller.rpc_send("gives", None), caller.task_send(None)):
        assert outcome is not None
        with pytest.raises(quince_messaging.RemoteError):
            outcome.result(SOON)


def test_bodies_nested_too_deep_are_refused_at_their_sender(pair: Pair) -> None:
    caller, server = pair
    deepest: list[Any] = []
    for _ in range(499):
        deepest = [deepest]
    server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    server.add_rpc_subscriber(lambda _comm, _msg: [deepest], "digs")
    assert caller.rpc_send("echo", deepest).result(SOON) == deepest
    for send in (
        lambda body: caller.rpc_send("echo", body),
        lambda body: caller.rpc_call("echo", body, timeout=SOON),
        lambda body: caller.rpc_cast("echo", body),
        caller.task_send,
        lambda body: caller.send_tasks([body]),
        caller.broadcast_send,
    ):
        with pytest.raises(quince_messaging.BodyTooDeep, match="500"):
            send([deepest])
    with pytest.raises(quince_messaging.RemoteError, match="nested more than 500"):
        caller.rpc_send("digs", None).result(SOON)
