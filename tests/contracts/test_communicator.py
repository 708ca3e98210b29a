"""What every transport must do with tasks, seen through the awaitable face."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import quince_messaging
from quince_messaging import RemoteError
from tests.contracts.brokers import broker
from tests.contracts.pairs import SOON, Inbox, Pair, ack, eventually, pair

__all__ = ["broker", "pair"]


async def test_a_task_reaches_a_consumer_with_its_body(pair: Pair) -> None:
    sender, worker = pair
    body = {"pid": 7, "list": [1, 2.5, None, True], "blob": b"\x00\xff", "text": "é"}
    inbox = Inbox(settle=ack)
    await worker.consume(inbox.tasks)
    await sender.send_tasks([body])
    await inbox.wait(1)
    assert inbox.bodies == [body]
    assert inbox.items[0].redelivered is False


async def test_tasks_sent_before_anybody_consumes_are_kept(pair: Pair) -> None:
    sender, worker = pair
    await sender.send_tasks(list(range(20)), queue="later")
    assert await sender.queue_size(queue="later") == 20
    inbox = Inbox(settle=ack)
    await worker.consume(inbox.tasks, queue="later", prefetch=5)
    await inbox.wait(20)
    assert inbox.bodies == list(range(20))


async def test_queues_are_separate(pair: Pair) -> None:
    sender, worker = pair
    here, there = Inbox(settle=ack), Inbox(settle=ack)
    await worker.consume(here.tasks, queue="here")
    await worker.consume(there.tasks, queue="there")
    await sender.send_tasks(["a"], queue="here")
    await sender.send_tasks(["b"], queue="there")
    await here.wait(1)
    await there.wait(1)
    assert (here.bodies, there.bodies) == (["a"], ["b"])


async def test_each_task_goes_to_one_consumer_at_a_time(pair: Pair) -> None:
    one, other = pair
    first, second = Inbox(settle=ack), Inbox(settle=ack)
    await one.consume(first.tasks, prefetch=1)
    await other.consume(second.tasks, prefetch=1)
    await one.send_tasks(list(range(50)))

    async def all_there() -> bool:
        return len(first.items) + len(second.items) >= 50

    await eventually(all_there)
    assert sorted(first.bodies + second.bodies) == list(range(50))


async def test_no_more_than_prefetch_are_unsettled(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox()
    await sender.send_tasks(list(range(5)))
    await worker.consume(inbox.tasks, prefetch=2)
    await inbox.wait(2)
    assert await sender.queue_size() == 3
    assert len(inbox.items) == 2
    inbox.items[0].ack()
    await inbox.wait(3)
    assert inbox.bodies == [0, 1, 2]


async def test_higher_priority_comes_first_and_order_holds_within_one(pair: Pair) -> None:
    sender, worker = pair
    await sender.send_tasks(["low-1", "low-2"])
    await sender.send_tasks(["high-1", "high-2"], priority=9)
    await sender.send_tasks(["middle"], priority=4)
    inbox = Inbox(settle=ack)
    await worker.consume(inbox.tasks, prefetch=1)
    await inbox.wait(5)
    assert inbox.bodies == ["high-1", "high-2", "middle", "low-1", "low-2"]


async def test_a_requeued_task_comes_again_and_says_so(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=lambda task: task.ack() if task.redelivered else task.requeue())
    await worker.consume(inbox.tasks)
    await sender.send_tasks(["again"])
    await inbox.wait(2)
    assert [task.redelivered for task in inbox.items] == [False, True]


async def test_only_the_first_settlement_counts(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox()
    await worker.consume(inbox.tasks, prefetch=10)
    await sender.send_tasks(["once"])
    (task,) = await inbox.wait(1)
    task.ack()
    task.requeue()
    task.fail(ValueError("too late"))
    await sender.send_tasks(["next"])
    await inbox.wait(2)
    assert inbox.bodies == ["once", "next"]


async def test_unsettled_tasks_go_back_when_the_consumer_closes(pair: Pair) -> None:
    sender, worker = pair
    held = Inbox()
    consumer = await worker.consume(held.tasks, prefetch=3)
    await sender.send_tasks([1, 2, 3, 4])
    await held.wait(3)
    held.items[0].ack()
    await held.wait(4)
    await consumer.close()
    await consumer.close()
    inbox = Inbox(settle=ack)
    await sender.consume(inbox.tasks, prefetch=3)
    await inbox.wait(3)
    assert inbox.bodies == [2, 3, 4]
    assert all(task.redelivered for task in inbox.items)


async def test_unsettled_tasks_go_back_when_the_communicator_closes(broker: str) -> None:
    async with quince_messaging.connect_async(broker) as sender:
        held = Inbox()
        worker = quince_messaging.connect_async(broker)
        await worker.open()
        await worker.consume(held.tasks, prefetch=2)
        await sender.send_tasks(["a", "b"])
        await held.wait(2)
        await worker.close()
        inbox = Inbox(settle=ack)
        await sender.consume(inbox.tasks)
        await inbox.wait(2)
        assert inbox.bodies == ["a", "b"]
        held.items[0].ack()  # settling what was taken away harms nobody


async def test_a_paused_consumer_gets_nothing_until_it_resumes(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=ack)
    consumer = await worker.consume(inbox.tasks, prefetch=5)
    await sender.send_tasks(["before"])
    await inbox.wait(1)
    await consumer.pause()
    await sender.send_tasks(["meanwhile"])
    assert await sender.queue_size() == 1
    assert inbox.bodies == ["before"]
    await consumer.resume()
    await inbox.wait(2)
    assert inbox.bodies == ["before", "meanwhile"]
    await consumer.close()


async def test_the_sender_gets_the_result_if_it_asks(pair: Pair) -> None:
    sender, worker = pair
    await worker.consume(Inbox(settle=lambda task: task.ack({"twice": task.body * 2})).tasks)
    outcome = await sender.task_send(21)
    assert outcome is not None
    assert await asyncio.wait_for(outcome, SOON) == {"twice": 42}


async def test_the_sender_gets_the_error_if_it_asks(pair: Pair) -> None:
    sender, worker = pair
    await worker.consume(Inbox(settle=lambda task: task.fail(ValueError("not this one"))).tasks)
    outcome = await sender.task_send("x")
    assert outcome is not None
    with pytest.raises(RemoteError, match="not this one") as caught:
        await asyncio.wait_for(outcome, SOON)
    assert caught.value.type_name == "ValueError"


async def test_a_result_that_comes_later_is_a_future_in_the_future(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=lambda task: task.later())
    await worker.consume(inbox.tasks)
    outcome = await sender.task_send("slow")
    assert outcome is not None
    promise = await asyncio.wait_for(outcome, SOON)
    assert isinstance(promise, asyncio.Future)
    inbox.items[0].ack("done")
    assert await asyncio.wait_for(promise, SOON) == "done"


async def test_a_result_that_cannot_be_sent_is_an_error_for_the_sender(pair: Pair) -> None:
    sender, worker = pair
    await worker.consume(Inbox(settle=lambda task: task.ack(object())).tasks)
    outcome = await sender.task_send("x")
    assert outcome is not None
    with pytest.raises(RemoteError):
        await asyncio.wait_for(outcome, SOON)


async def test_a_body_that_cannot_be_sent_is_refused_and_nothing_is_sent(pair: Pair) -> None:
    sender, _ = pair
    with pytest.raises(TypeError):
        await sender.send_tasks([1, object()])
    assert await sender.queue_size() == 0


async def test_a_dead_lettered_task_leaves_its_queue(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=lambda task: task.dead_letter("nobody can run this"))
    consumer = await worker.consume(inbox.tasks)
    outcome = await sender.task_send("poison")
    assert outcome is not None
    with pytest.raises(RemoteError, match="nobody can run this"):
        await asyncio.wait_for(outcome, SOON)
    await sender.send_tasks(["next"])
    await inbox.wait(2)
    await consumer.close()
    assert inbox.bodies == ["poison", "next"]


async def test_pulling_takes_one_task_or_none(pair: Pair) -> None:
    sender, worker = pair
    assert await worker.pull(queue="hand") is None
    await sender.send_tasks([1, 2], queue="hand")
    task = await worker.pull(queue="hand")
    assert task is not None
    assert task.body == 1
    assert await sender.queue_size(queue="hand") == 1
    task.requeue()

    async def both_back() -> bool:
        return await sender.queue_size(queue="hand") == 2

    await eventually(both_back)


async def test_purging_drops_what_waits(pair: Pair) -> None:
    sender, _ = pair
    await sender.send_tasks(list(range(7)), queue="full")
    assert await sender.purge(queue="full") == 7
    assert await sender.queue_size(queue="full") == 0


async def test_sending_nothing_is_fine(pair: Pair) -> None:
    sender, _ = pair
    await sender.send_tasks([], queue="empty")
    assert await sender.queue_size(queue="empty") == 0


async def test_many_tasks_all_arrive_once(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=ack)
    await worker.consume(inbox.tasks, prefetch=200)
    await asyncio.gather(*(sender.send_tasks(list(range(n, n + 500))) for n in range(0, 5000, 500)))
    await inbox.wait(5000)
    assert sorted(inbox.bodies) == list(range(5000))


async def test_dead_letters_are_listed_and_revived(pair: Pair) -> None:
    sender, worker = pair
    inbox = Inbox(settle=lambda task: task.dead_letter(f"cannot run {task.body}"))
    consumers = [await worker.consume(inbox.tasks, queue=queue) for queue in ("here", "there")]
    await sender.send_tasks(["a", "b"], queue="here")
    await sender.send_tasks(["c"], queue="there")
    await inbox.wait(3)

    async def all_dead() -> bool:
        return len(await sender.dead_letters()) == 3

    await eventually(all_dead)
    for consumer in consumers:
        await consumer.close()
    letters = sorted((letter.queue, letter.reason) for letter in await sender.dead_letters())
    assert letters == [("here", "cannot run a"), ("here", "cannot run b"), ("there", "cannot run c")]
    assert len(await sender.dead_letters(limit=2)) == 2
    assert await sender.revive(queue="here") == 2
    assert [letter.queue for letter in await sender.dead_letters()] == ["there"]
    revived = Inbox(settle=ack)
    await worker.consume(revived.tasks, queue="here")
    await revived.wait(2)
    assert sorted(revived.bodies) == ["a", "b"]
    assert await sender.revive() == 1
    assert await sender.queue_size(queue="there") == 1


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (ValueError("x"), "x"),
        (None, "None"),
        (5, "5"),
        ("\udc80", r"\udc80"),
        ("z" * 200_000, "z" * 4_000),
        (Unspeakable(), "a Unspeakable that cannot be shown"),
    ],
    ids=["error", "none", "number", "surrogate", "long", "unspeakable"],
)
async def test_any_reason_for_a_dead_letter_will_do(pair: Pair, reason: Any, told: str) -> None:
    sender, worker = pair
    await sender.send_tasks([1, 2, 3])
    inbox = Inbox()
    consumer = await worker.consume(inbox.tasks, prefetch=3)
    first, second, third = await inbox.wait(3)
    first.dead_letter(reason)
    second.requeue()
    third.dead_letter("another")
    await inbox.wait(4)  # the one given back has come again

    async def both_dead() -> bool:
        return len(await sender.dead_letters()) == 2

    await eventually(both_dead)
    assert {letter.reason for letter in await sender.dead_letters()} == {told, "another"}
    await consumer.close()
    assert await sender.queue_size() == 1


async def test_what_is_revived_has_its_priority(pair: Pair) -> None:
    sender, worker = pair
    await sender.send_tasks(["low", "by hand"], priority=2)
    await sender.send_tasks(["high"], priority=7)
    inbox = Inbox(settle=lambda task: task.dead_letter("later"))
    consumer = await worker.consume(inbox.tasks, prefetch=1)
    await inbox.wait(3)

    async def buried(count: int) -> bool:
        return len(await sender.dead_letters()) == count

    await eventually(lambda: buried(3))
    await consumer.close()
    assert sorted(letter.priority for letter in await sender.dead_letters()) == [2, 2, 7]
    assert await sender.revive() == 3
    await sender.send_tasks(["between"], priority=5)
    came = []
    while (task := await worker.pull()) is not None:
        came.append(task.body)
        task.dead_letter("again") if task.body == "by hand" else task.ack()
    assert came[:2] == ["high", "between"]
    await eventually(lambda: buried(1))
    assert [letter.priority for letter in await sender.dead_letters()] == [2]
