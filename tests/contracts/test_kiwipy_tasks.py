"""What every transport must do with tasks, seen through the blocking face: the manners of kiwiPy."""

from __future__ import annotations

import gc
import queue
import threading
import time
from typing import Any

import kiwipy
import pytest

import quince_messaging
from quince_messaging import Communicator
from tests.contracts.blocking_pairs import SOON, Pair, blocking_pair
from tests.contracts.brokers import broker

__all__ = ["blocking_pair", "broker"]


# Task queue


def test_task_send_gives_the_result(pair: Pair) -> None:
    sender, worker = pair
    worker.add_task_subscriber(lambda _comm, task: task.upper())
    outcome = sender.task_send("shout")
    assert outcome is not None
    assert outcome.result(SOON) == "SHOUT"


def test_task_send_without_reply_gives_nothing(pair: Pair) -> None:
    sender, worker = pair
    done: queue.Queue[Any] = queue.Queue()
    worker.add_task_subscriber(lambda _comm, task: done.put(task))
    assert sender.task_send("quiet", no_reply=True) is None
    assert done.get(timeout=SOON) == "quiet"


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_a_task_that_fails_is_done_and_the_sender_told(pair: Pair, kind: type[BaseException]) -> None:
    sender, worker = pair

    def fails(_comm: Any, _task: Any) -> None:
        raise kind("broken")

    worker.add_task_subscriber(fails)
    outcome = sender.task_send("x")
    assert outcome is not None
    with pytest.raises(kiwipy.RemoteException, match="broken"):
        outcome.result(SOON)
    assert sender.queue_size() == 0


def test_a_task_that_returns_a_future_is_done_when_that_is(broker: str) -> None:
    promise: kiwipy.Future = kiwipy.Future()
    with quince_messaging.connect(broker) as sender:
        with quince_messaging.connect(broker) as worker:
            worker.add_task_subscriber(lambda _comm, _task: promise)
            outcome = sender.task_send("the meaning?")
            assert outcome is not None
            later = outcome.result(SOON)
            assert isinstance(later, kiwipy.Future)
        with quince_messaging.connect(broker) as second:  # the first left before it was done
            second.add_task_subscriber(lambda _comm, _task: 42)
            assert later.result(SOON) == 42


def test_a_rejected_task_is_passed_on(pair: Pair) -> None:
    sender, worker = pair
    tried: list[str] = []

    def refuses(_comm: Any, _task: Any) -> None:
        tried.append("refuses")
        raise kiwipy.TaskRejected("not mine")

    def takes(_comm: Any, _task: Any) -> str:
        tried.append("takes")
        return "done"

    worker.add_task_subscriber(refuses)
    worker.add_task_subscriber(takes)
    outcome = sender.task_send("x")
    assert outcome is not None
    assert outcome.result(SOON) == "done"
    assert tried == ["refuses", "takes"]


def test_a_task_that_all_reject_goes_to_another_communicator(pair: Pair) -> None:
    sender, worker = pair

    def refuses(_comm: Any, _task: Any) -> None:
        raise quince_messaging.TaskRejected("not mine")

    worker.add_task_subscriber(refuses)
    outcome = sender.task_send("x")
    assert outcome is not None
    sender.add_task_subscriber(lambda _comm, _task: "mine")
    assert outcome.result(SOON) == "mine"


def test_task_subscribers_have_identifiers(pair: Pair) -> None:
    _, worker = pair
    assert worker.add_task_subscriber(lambda _comm, task: task, "me") == "me"
    with pytest.raises(kiwipy.DuplicateSubscriberIdentifier):
        worker.add_task_subscriber(lambda _comm, task: task, "me")
    worker.remove_task_subscriber("me")
    with pytest.raises(ValueError, match="me"):
        worker.remove_task_subscriber("me")


def test_after_the_last_subscriber_left_tasks_wait(pair: Pair) -> None:
    sender, worker = pair
    name = worker.add_task_subscriber(lambda _comm, task: task)
    worker.remove_task_subscriber(name)
    sender.task_send("stays", no_reply=True)
    assert sender.queue_size() == 1


class AtWork:
    """A task subscriber that holds each task until it is let go, and counts those done at a time."""

    def __init__(self) -> None:
        self.begun: queue.Queue[Any] = queue.Queue()
        self.go_on = threading.Event()
        self.tasks: list[Any] = []

    def __call__(self, _comm: Any, task: Any) -> str:
        self.tasks.append(task)
        self.begun.put(task)
        assert self.go_on.wait(SOON)
        return f"{task} done"


def test_a_task_that_runs_when_its_subscriber_is_removed_is_done_once(pair: Pair) -> None:
    sender, worker = pair
    at_work = AtWork()
    name = worker.add_task_subscriber(at_work)
    outcome = sender.task_send("long")
    assert outcome is not None
    assert at_work.begun.get(timeout=SOON) == "long"
    worker.remove_task_subscriber(name)  # while it runs: does not wait for it
    others: list[Any] = []
    sender.add_task_subscriber(lambda _comm, task: others.append(task))
    second = sender.task_send("next")  # behind a task that was given back, it would come second
    assert second is not None
    second.result(SOON)
    assert others == ["next"]
    at_work.go_on.set()
    assert outcome.result(SOON) == "long done"
    assert others == ["next"]
    assert at_work.tasks == ["long"]


def test_tasks_not_begun_are_given_back_when_their_subscriber_is_removed(broker: str) -> None:
    with quince_messaging.connect(broker) as sender, quince_messaging.connect(broker) as worker:
        worker._pool._most = 2
        at_work = AtWork()
        name = worker.add_task_subscriber(at_work)
        sender.send_tasks(list(range(8)))
        begun = {at_work.begun.get(timeout=SOON) for _ in range(2)}
        worker.remove_task_subscriber(name)
        others: queue.Queue[Any] = queue.Queue()
        sender.add_task_subscriber(lambda _comm, task: others.put(task))
        assert {others.get(timeout=SOON) for _ in range(6)} == set(range(8)) - begun
        at_work.go_on.set()
        again = worker.add_task_subscriber(lambda _comm, task: task, "again")
        worker.remove_task_subscriber(again)
        assert _wait_for_size(sender, "default", 0)
        assert others.empty()


# A queue of one's own, taken from by hand


def test_next_task_processed(pair: Pair) -> None:
    sender, worker = pair
    outcome = sender.task_queue("hand").task_send("work")
    assert _wait_for_size(worker, "hand", 1)
    with worker.task_queue("hand").next_task() as task, task.processing() as result:
        assert task.body == "work"
        assert task.state == "processing"
        result.set_result("done")
    assert task.state == "finished"
    assert outcome is not None
    assert outcome.result(SOON) == "done"


def test_the_sender_of_a_task_finds_it_on_the_queue_at_once(pair: Pair) -> None:
    sender, _ = pair
    hand = sender.task_queue("hand")
    for number in range(20):
        hand.task_send(number)
        with hand.next_task() as task, task.processing() as outcome:
            assert task.body == number
            outcome.set_result(None)


def test_durability_can_be_waited_for_later(pair: Pair) -> None:
    sender, worker = pair
    stored = [sender.task_send(n, no_reply=True, wait=False, queue="many") for n in range(300)]
    for future in stored:
        assert future is not None
        assert future.result(SOON) is None
    assert worker.queue_size(queue="many") == 300


def test_next_task_not_processed_goes_back(pair: Pair) -> None:
    sender, worker = pair
    sender.task_queue("hand").task_send("work", no_reply=True)
    with worker.task_queue("hand").next_task() as task:
        assert task is not None
    assert task.state == "requeued"
    assert _wait_for_size(sender, "hand", 1)


def test_next_task_of_an_empty_queue(pair: Pair) -> None:
    hand = pair[0].task_queue("hand")
    with pytest.raises(kiwipy.QueueEmpty), hand.next_task():
        pytest.fail("there is no task")
    with hand.next_task(fail=False) as task:
        assert task is None


def test_an_error_while_processing_is_the_outcome(pair: Pair) -> None:
    sender, worker = pair
    outcome = sender.task_queue("hand").task_send("work")
    assert _wait_for_size(worker, "hand", 1)
    with (
        pytest.raises(RuntimeError, match="oh no"),
        worker.task_queue("hand").next_task() as task,
        task.processing(),
    ):
        raise RuntimeError("oh no")
    assert outcome is not None
    with pytest.raises(kiwipy.RemoteException, match="oh no"):
        outcome.result(SOON)


def test_a_task_processed_by_a_future_and_one_dropped(pair: Pair) -> None:
    sender, worker = pair
    hand = worker.task_queue("hand")
    outcome = sender.task_queue("hand").task_send("work")
    assert outcome is not None
    assert _wait_for_size(worker, "hand", 1)
    with hand.next_task() as task:
        dropped = task.process()
    del dropped
    gc.collect()
    assert _wait_for_size(sender, "hand", 1)
    with hand.next_task() as task:
        finished = task.process()
    finished.set_result("by hand")
    assert outcome.result(SOON) == "by hand"


def test_iterating_takes_what_is_there(pair: Pair) -> None:
    sender, worker = pair
    sender.send_tasks([1, 2, 3], queue="hand")
    seen = []
    for task in worker.task_queue("hand"):
        seen.append(task.body)
        if task.body != 2:
            with task.processing() as outcome:
                outcome.set_result(None)
    assert seen == [1, 2, 3]
    assert _wait_for_size(sender, "hand", 1)


def test_a_named_queue_has_subscribers_of_its_own(pair: Pair) -> None:
    sender, worker = pair
    named = worker.task_queue("special", prefetch_count=2)
    name = named.add_task_subscriber(lambda _comm, task: f"special {task}")
    outcome = sender.task_queue("special").task_send("one")
    assert outcome is not None
    assert outcome.result(SOON) == "special one"
    named.remove_task_subscriber(name)


def _wait_for_size(communicator: Communicator, name: str, size: int) -> bool:
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if communicator.queue_size(queue=name) == size:
            return True
        time.sleep(0.01)
    return False


def test_tasks_of_one_thread_keep_their_order_however_they_are_sent(pair: Pair) -> None:
    sender, worker = pair
    for number in range(30):
        name = f"order-{number}"
        sender.task_send("first", queue=name)
        sender.task_send("second", no_reply=True, queue=name)
        sender.task_send("third", queue=name)
        sender.send_tasks(["fourth", "fifth"], queue=name)
        came = []
        while (task := worker.pull(queue=name)) is not None:
            came.append(task.body)
            task.ack()
        assert came == ["first", "second", "third", "fourth", "fifth"]


def test_a_task_knows_whether_somebody_waits_for_its_result(pair: Pair) -> None:
    sender, taker = pair
    sender.task_queue("asked").task_send("told", no_reply=True)
    outcome = sender.task_queue("asked").task_send("asked")
    sender.queue_size(queue="asked")  # both are there
    seen = []
    for task in taker.task_queue("asked"):
        seen.append((task.body, task.no_reply))
        task.process().set_result(1)
    assert seen == [("told", True), ("asked", False)]
    assert outcome is not None
    assert outcome.result(SOON) == 1
