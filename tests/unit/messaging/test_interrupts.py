"""Ctrl-C at the worst places: the call that it hits is lost at most, and the communicator goes on."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import quince_messaging
from quince_messaging import Communicator
from quince_messaging.clients.backpressure import Backpressure, Share
from quince_messaging.clients.loop_thread import LoopThread

SOON = 10.0
_names = itertools.count()


@pytest.fixture
def communicator() -> Iterator[Communicator]:
    with quince_messaging.connect(f"memory://interrupts-{next(_names)}") as one:
        yield one


def interrupted_once(function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """The function, with Ctrl-C just before its first call or just after it."""
    first = iter([True])

    def call(*args: Any, **kwargs: Any) -> Any:
        interrupted = next(first, False)
        if interrupted and before:
            raise KeyboardInterrupt
        result = function(*args, **kwargs)
        if interrupted:
            raise KeyboardInterrupt
        return result

    return call


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_ctrl_c_while_the_hidden_thread_is_woken(
    communicator: Communicator, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    communicator.add_rpc_subscriber(lambda _comm, msg: msg, "echo")
    assert communicator._thread._mailbox is not None
    loop = communicator._thread._mailbox._loop
    wake = interrupted_once(loop.call_soon_threadsafe, before=before)
    monkeypatch.setattr(loop, "call_soon_threadsafe", wake)
    with pytest.raises(KeyboardInterrupt):
        communicator.rpc_call("echo", 1, timeout=SOON)
    assert [communicator.rpc_call("echo", n, timeout=SOON) for n in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("where", [(Backpressure, "take"), (LoopThread, "post")], ids=["room", "post"])
def test_ctrl_c_while_something_is_sent_neither_loses_room_nor_makes_some(
    communicator: Communicator, monkeypatch: pytest.MonkeyPatch, where: tuple[type, str], before: bool
) -> None:
    kind, name = where
    heard: queue.Queue[Any] = queue.Queue()
    communicator.add_task_subscriber(lambda _comm, task: task)
    communicator.add_broadcast_subscriber(lambda _comm, body, *_: heard.put(body))
    for send in (communicator.task_send, communicator.broadcast_send):
        with monkeypatch.context() as patches:
            patches.setattr(kind, name, interrupted_once(getattr(kind, name), before=before))
            with pytest.raises(KeyboardInterrupt):
                send("interrupted")
    outcome = communicator.task_send("task")
    assert outcome is not None
    assert outcome.result(SOON) == "task"
    communicator.broadcast_send("news")
    while heard.get(timeout=SOON) != "news":
        pass
    communicator.flush()
    for room in (communicator._bridge._backpressure, communicator._outgoing._backpressure):
        assert str(room) == "0 messages of 0 bytes"


def test_ctrl_c_while_room_is_waited_for_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    room, place = Backpressure(1, 100), Share(10)
    assert room.take(place)
    monkeypatch.setattr("quince_messaging.clients.backpressure.threading.Lock", _InterruptedLock)
    with pytest.raises(KeyboardInterrupt):
        room.take(Share(10), timeout=SOON)
    monkeypatch.undo()
    room.give_back(place)
    assert room.take(Share(10), timeout=SOON)
    assert str(room) == "1 messages of 10 bytes"


class _InterruptedLock:
    """A lock that is taken at once, and then waited for in vain."""

    def __init__(self) -> None:
        self._free = True

    def acquire(self, timeout: float = -1) -> None:
        if not self._free:
            raise KeyboardInterrupt
        self._free = False

    def release(self) -> None:
        self._free = True
