"""Nothing from the wire takes a slot, a task, or a consumer of a worker along."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import quince_messaging
from quince.client.handle import get_process
from quince.client.remote import RemoteControl
from quince.client.submit import submit
from quince.messages import CONTROL_QUEUE, asked_of_worker, pids_of, shown
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_messaging import BroadcastMessage
from quince_messaging.errors import MessagingError
from tests.flows import Approval, Double
from tests.integration.side_work import AtWork, until

SLOTS = 4


def nested(levels: int) -> list[Any]:
    body: list[Any] = []
    for _ in range(levels):
        body = [body]
    return body


VALUES: list[Any] = [
    None, True, -1, 0, 1.5, float("nan"), float("inf"), 2**63, 2**64 - 1, "", "7", "\0", "x" * 100_000, "²",
    "9" * 5_000, b"\xff\0", [], [[]], {}, {"pid": 1}, nested(400), [1, "a", None],
]  # fmt: skip


def bodies() -> Iterator[Any]:
    """What somebody may send who means no good, or another version of us."""
    for value in VALUES:
        yield value
        yield {"pid": value}
        yield {"pid": value, "message": {"intent": "kill"}}
        yield {"pid": 1, "message": value}
        yield {"pid": 1, "message": {"intent": value}}
        yield {
            "pid": 1,
            "message": {"intent": "kill", "message": value, "force_kill": value},
            "author": value,
        }
        yield {"pid": 1, "message": {"intent": "signal", "name": value, "value": value}}
        yield {"verb": value, "pids": [1]}
        yield {"verb": "run", "pids": value}
        yield {"verb": "run", "pids": [value]}
        yield {"verb": "look", "pids": [value]}
        yield {"verb": "kill", "pids": [value], "wait": value}
        yield {"verb": "pause", "pids": [1], "wait": value}


SUBJECTS = [
    "play",
    "control.play",
    "control.nothing",
    "state_changed.created.finished",
]  # no valid pause of all


async def throw(location: Location, worker_id: str) -> None:
    """All of it, everywhere, as fast as it goes."""
    junk = list(bodies())
    assert len(junk) > 200
    async with quince_messaging.connect_async(location.broker) as stranger:
        await stranger.send_tasks(junk)
        asked: list[Any] = [await stranger.task_send(body, queue=CONTROL_QUEUE) for body in junk]
        calls = [asyncio.ensure_future(stranger.rpc_send(worker_id, body, timeout=30)) for body in junk]
        casts = [asyncio.ensure_future(stranger.rpc_cast(worker_id, body)) for body in junk]
        broadcasts = [
            BroadcastMessage(value, sender, subject, value)
            for subject in SUBJECTS
            for value, sender in zip(VALUES, reversed(VALUES), strict=True)
        ]
        await stranger.broadcast_many(broadcasts)
        answers = await asyncio.gather(*asked, *calls, *casts, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            assert isinstance(answer, MessagingError), repr(answer)


def test_after_200_of_each_all_is_as_before(location: Location, home: Workspace) -> None:
    with AtWork(location, SLOTS) as at_work:
        asyncio.run(throw(location, at_work.worker.id))
        worker = at_work.worker
        until(lambda: worker.slots.free == SLOTS, "all slots are free")
        handles = [submit(Double, value=n, workspace=home) for n in range(2 * SLOTS)]
        assert [handle.result(60)["value"] for handle in handles] == [2 * n for n in range(2 * SLOTS)]
        waiting = submit(Approval, workspace=home)
        until(lambda: waiting.row.state.value == "waiting", "it waits")
        with RemoteControl(location.broker) as remote:
            assert remote.status(waiting.pid, timeout=30)["state"] == "waiting"
            assert remote.kill(waiting.pid, "enough", timeout=30)["applied"]
        assert get_process(waiting.pid, workspace=home).state.value == "killed"
        until(lambda: worker.slots.free == SLOTS, "all slots are free")
        assert not home.communicator.queue_size(queue=CONTROL_QUEUE)
        assert not home.communicator.queue_size()


def test_what_workers_are_asked_is_checked() -> None:
    assert asked_of_worker({"verb": "kill", "pids": [1, 2], "wait": 3}) == ("kill", [1, 2], 3.0, False)
    for body in bodies():
        try:
            _, pids, wait, _ = asked_of_worker(body)
        except ValueError as error:
            told = str(error)
        else:
            told = ""
            assert all(type(pid) is int and pid > 0 for pid in pids)
            assert 0 <= wait < float("inf")
        assert len(told) < 300
        assert len(shown(body)) <= 200
        assert all(type(pid) is int and pid > 0 for pid in pids_of(body, body))


@pytest.mark.parametrize("sender", VALUES, ids=lambda value: shown(value)[:20])
def test_a_sender_is_a_pid_or_nobody(sender: Any) -> None:
    assert all(0 < pid < 2**63 for pid in pids_of(None, sender))
