"""What every transport must do with calls and broadcasts, seen through the awaitable face."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import quince_messaging
from quince_messaging import (
    BroadcastMessage,
    CommunicatorClosed,
    DeliveryFailed,
    DuplicateSubscriber,
    LinkState,
    MessageTimeout,
    RemoteCancelled,
    RemoteError,
    SubjectFilter,
    UnroutableError,
)
from tests.contracts.brokers import broker
from tests.contracts.pairs import SOON, Inbox, Pair, pair

__all__ = ["broker", "pair"]


async def test_a_call_is_answered(pair: Pair) -> None:
    caller, server = pair
    name = await server.add_rpc_subscriber(lambda _comm, msg: {"got": msg}, "answers")
    assert name == "answers"
    assert await caller.rpc_send("answers", [1, 2], timeout=SOON) == {"got": [1, 2]}


async def test_an_identifier_is_made_up_if_none_is_given(pair: Pair) -> None:
    caller, server = pair
    name = await server.add_rpc_subscriber(lambda _comm, msg: msg)
    assert await caller.rpc_send(name, "ping", timeout=SOON) == "ping"


async def test_a_coroutine_may_answer_and_others_are_not_held_up(pair: Pair) -> None:
    caller, server = pair
    gate = asyncio.Event()

    async def slow(_comm: Any, msg: Any) -> Any:
        await gate.wait()
        return msg

    await server.add_rpc_subscriber(slow, "slow")
    await server.add_rpc_subscriber(lambda _comm, msg: msg, "quick")
    first = asyncio.create_task(caller.rpc_send("slow", 1, timeout=SOON))
    assert await caller.rpc_send("quick", 2, timeout=SOON) == 2
    assert not first.done()
    gate.set()
    assert await first == 1


async def test_calling_nobody_fails_at_once(pair: Pair) -> None:
    caller, _ = pair
    with pytest.raises(UnroutableError, match="nobody-there"):
        await asyncio.wait_for(caller.rpc_send("nobody-there", 1), SOON)
    with pytest.raises(UnroutableError, match="nobody-there"):
        await asyncio.wait_for(caller.rpc_cast("nobody-there", 1), SOON)


async def test_an_error_comes_across_with_its_type_text_and_traceback(pair: Pair) -> None:
    caller, server = pair

    def fails(_comm: Any, msg: Any) -> None:
        raise KeyError(f"no {msg}")

    await server.add_rpc_subscriber(fails, "fails")
    with pytest.raises(RemoteError) as caught:
        await caller.rpc_send("fails", "luck", timeout=SOON)
    assert caught.value.type_name == "KeyError"
    assert "no luck" in caught.value.remote_message
    assert "in fails" in caught.value.remote_traceback


async def test_a_call_can_be_limited_in_time(pair: Pair) -> None:
    caller, server = pair
    never = asyncio.Event()

    async def hangs(_comm: Any, _msg: Any) -> None:
        await never.wait()

    await server.add_rpc_subscriber(hangs, "hangs")
    with pytest.raises(MessageTimeout):
        await caller.rpc_send("hangs", 1, timeout=0.05)
    never.set()


async def test_an_answer_that_is_a_future_arrives_as_one(pair: Pair) -> None:
    caller, server = pair
    promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await server.add_rpc_subscriber(lambda _comm, _msg: promise, "promises")
    answer = await caller.rpc_send("promises", None, timeout=SOON)
    assert isinstance(answer, asyncio.Future)
    promise.set_result(12)
    assert await asyncio.wait_for(answer, SOON) == 12


async def test_a_cast_arrives_and_returns_nothing(pair: Pair) -> None:
    caller, server = pair
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await server.add_rpc_subscriber(lambda _comm, msg: arrived.set_result(msg), "listens")
    await caller.rpc_cast("listens", "hello")
    assert await asyncio.wait_for(arrived, SOON) == "hello"


async def test_an_identifier_can_be_served_once(pair: Pair) -> None:
    one, other = pair
    await one.add_rpc_subscriber(lambda _comm, msg: "one", "mine")
    for communicator in pair:
        with pytest.raises(DuplicateSubscriber, match="mine"):
            await communicator.add_rpc_subscriber(lambda _comm, msg: "two", "mine")
    assert await other.rpc_send("mine", 0, timeout=SOON) == "one"


async def test_a_removed_server_is_nobody(pair: Pair) -> None:
    caller, server = pair
    await server.add_rpc_subscriber(lambda _comm, msg: msg, "gone")
    assert await caller.rpc_send("gone", 1, timeout=SOON) == 1
    await server.remove_rpc_subscriber("gone")
    with pytest.raises(UnroutableError):
        await asyncio.wait_for(caller.rpc_send("gone", 1), SOON)
    with pytest.raises(ValueError, match="gone"):
        await server.remove_rpc_subscriber("gone")
    await caller.add_rpc_subscriber(lambda _comm, msg: -msg, "gone")
    assert await server.rpc_send("gone", 1, timeout=SOON) == -1


async def test_a_closed_server_is_nobody(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as caller:
        async with quince_messaging.connect_async(broker) as server:
            await server.add_rpc_subscriber(lambda _comm, msg: msg, "short-lived")
            assert await caller.rpc_send("short-lived", 1, timeout=SOON) == 1
        with pytest.raises(UnroutableError):
            await asyncio.wait_for(caller.rpc_send("short-lived", 1), SOON)


async def test_a_server_that_closes_says_that_it_has_gone(broker: str) -> None:
    called, never = asyncio.Event(), asyncio.Event()
    promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def hangs(_comm: Any, _msg: Any) -> None:
        called.set()
        await never.wait()

    async with quince_messaging.connect_async(broker) as caller:
        async with quince_messaging.connect_async(broker) as server:
            await server.add_rpc_subscriber(hangs, "hangs")
            await server.add_rpc_subscriber(lambda _comm, _msg: promise, "promises")
            promised = await caller.rpc_send("promises", None, timeout=SOON)
            call = asyncio.create_task(caller.rpc_send("hangs", None, timeout=SOON))
            await asyncio.wait_for(called.wait(), SOON)
        for unanswered in (call, promised):
            with pytest.raises(DeliveryFailed):
                await asyncio.wait_for(unanswered, SOON)
    never.set()


async def test_what_the_other_side_cancels_does_not_cancel_its_caller(pair: Pair) -> None:
    caller, server = pair

    async def cancelled(_comm: Any, _msg: Any) -> None:
        raise asyncio.CancelledError

    promise: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await server.add_rpc_subscriber(cancelled, "cancelled")
    await server.add_rpc_subscriber(lambda _comm, _msg: promise, "promises")
    promised = await caller.rpc_send("promises", None, timeout=SOON)
    promise.cancel()
    for answer in (caller.rpc_send("cancelled", None, timeout=SOON), promised):
        with pytest.raises(RemoteCancelled):
            await asyncio.wait_for(answer, SOON)


async def test_closing_does_not_cancel_those_who_wait_for_an_answer(pair: Pair) -> None:
    caller, server = pair
    called, never = asyncio.Event(), asyncio.Event()

    async def hangs(_comm: Any, _msg: Any) -> None:
        called.set()
        await never.wait()

    await server.add_rpc_subscriber(hangs, "hangs")
    call = asyncio.create_task(caller.rpc_send("hangs", None))
    await asyncio.wait_for(called.wait(), SOON)
    await caller.close()
    with pytest.raises(CommunicatorClosed):
        await asyncio.wait_for(call, SOON)
    never.set()


async def test_many_calls_at_once_get_each_its_own_answer(pair: Pair) -> None:
    caller, server = pair
    await server.add_rpc_subscriber(lambda _comm, msg: msg * 2, "double")
    answers = await asyncio.gather(*(caller.rpc_send("double", n, timeout=SOON) for n in range(1000)))
    assert answers == [n * 2 for n in range(1000)]


async def test_one_bad_body_among_many_calls_fails_alone(pair: Pair) -> None:
    caller, server = pair
    await server.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    calls = [caller.rpc_send("echo", object() if n == 3 else n, timeout=SOON) for n in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(3), TypeError)
    assert answers == [0, 1, 2, 4, 5]


async def test_a_broadcast_reaches_every_subscriber_whole(pair: Pair) -> None:
    one, other = pair
    inboxes = [Inbox(), Inbox(), Inbox()]
    for communicator, inbox in zip((one, other, other), inboxes, strict=True):
        await communicator.subscribe(inbox.broadcast)
    assert await one.broadcast_send({"n": 1}, sender="me", subject="a.b", correlation_id="c7")
    for inbox in inboxes:
        await inbox.wait(1)
        assert inbox.items == [BroadcastMessage({"n": 1}, "me", "a.b", "c7")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SubjectFilter(), [1, 2, 3, 4, 5, 6]),
        (SubjectFilter(subjects=("state_changed.run.wait",)), [1]),
        (SubjectFilter(subjects=("state_changed.*",)), [1, 2, 3]),
        (SubjectFilter(subjects=("state_ch*",)), [1, 2, 3]),
        (SubjectFilter(subjects=("state_changed.wait*", "other")), [2, 4]),
        (SubjectFilter(senders=("7",)), [1, 4]),
        (SubjectFilter(senders=("7", "8.9")), [1, 2, 4]),
        (SubjectFilter(subjects=("state_changed.*",), senders=("7",)), [1]),
        (SubjectFilter(subjects=("nothing",)), []),
    ],
)
async def test_filters(pair: Pair, wanted: SubjectFilter, expected: list[int]) -> None:
    sender, receiver = pair
    inbox, end = Inbox(), Inbox()
    await receiver.subscribe(inbox.broadcast, wanted)
    await receiver.subscribe(end.broadcast, SubjectFilter(subjects=("the.end",), senders=("the end",)))
    messages = [
        BroadcastMessage(1, "7", "state_changed.run.wait", None),
        BroadcastMessage(2, "8.9", "state_changed.wait.run", None),
        BroadcastMessage(3, None, "state_changed.x", None),
        BroadcastMessage(4, "7", "other", None),
        BroadcastMessage(5, "77", None, None),
        BroadcastMessage(6, "9", "", None),
    ]
    for message in messages:
        await sender.broadcast_many([message])
    await sender.broadcast_send(None, sender="the end", subject="the.end")
    await end.wait(1)
    assert [body for body in inbox.bodies if body is not None] == expected


async def test_a_batch_of_broadcasts_is_filtered_one_by_one(pair: Pair) -> None:
    sender, receiver = pair
    even, everything = Inbox(), Inbox()
    await receiver.subscribe(even.broadcast, SubjectFilter(subjects=("even",)))
    await receiver.subscribe(everything.broadcast)
    subjects = ("even", "odd")
    await sender.broadcast_many([BroadcastMessage(n, n, subjects[n % 2], None) for n in range(1000)])
    await everything.wait(1000)
    assert everything.bodies == list(range(1000))
    assert even.bodies == list(range(0, 1000, 2))


async def test_an_unsubscribed_handler_hears_nothing(pair: Pair) -> None:
    sender, receiver = pair
    gone, stays = Inbox(), Inbox()
    identifier = await receiver.subscribe(gone.broadcast, SubjectFilter(subjects=("news",)))
    await receiver.subscribe(stays.broadcast, SubjectFilter(subjects=("news",)))
    await receiver.unsubscribe(identifier)
    await sender.broadcast_send(1, subject="news")
    await stays.wait(1)
    assert gone.items == []
    with pytest.raises(ValueError, match=identifier):
        await receiver.unsubscribe(identifier)


async def test_a_broadcast_to_nobody_is_no_error(pair: Pair) -> None:
    assert await pair[0].broadcast_send("hello?", subject="void")


async def test_very_long_subjects_and_senders_arrive(pair: Pair) -> None:
    sender, receiver = pair
    subject, author = "word." * 100 + "end", "s" * 400
    exact, prefix, by_author = Inbox(), Inbox(), Inbox()
    await receiver.subscribe(exact.broadcast, SubjectFilter(subjects=(subject,)))
    await receiver.subscribe(prefix.broadcast, SubjectFilter(subjects=(subject[:-2] + "*",)))
    await receiver.subscribe(by_author.broadcast, SubjectFilter(senders=(author,)))
    await sender.broadcast_send(1, sender=author, subject=subject)
    for inbox in (exact, prefix, by_author):
        await inbox.wait(1)


async def test_the_state_of_the_link_is_known_and_told(broker: str) -> None:
    communicator = quince_messaging.connect_async(broker)
    seen: list[LinkState] = []
    communicator.on_link(seen.append)
    states = [communicator.state]
    await communicator.open()
    states.append(communicator.state)
    await communicator.close()
    await communicator.close()
    states.append(communicator.state)
    assert states == [LinkState.CLOSED, LinkState.CONNECTED, LinkState.CLOSED]
    assert seen[:1] == [LinkState.CONNECTED]


async def test_a_closed_communicator_refuses(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as communicator:
        pass
    for use in (communicator.send_tasks([1]), communicator.rpc_send("x", 1), communicator.broadcast_send(1)):
        with pytest.raises(CommunicatorClosed):
            await use


async def test_different_prefixes_do_not_meet(broker: str) -> None:
    async with (
        quince_messaging.connect_async(broker, prefix="one") as one,
        quince_messaging.connect_async(broker, prefix="two") as two,
    ):
        await one.send_tasks([1])
        assert await two.queue_size() == 0
        await one.add_rpc_subscriber(lambda _comm, msg: msg, "here")
        with pytest.raises(UnroutableError):
            await two.rpc_send("here", 1, timeout=SOON)
