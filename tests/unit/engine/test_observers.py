"""Where nobody looks on, a worker's steps pass nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from quince.testing import sandbox
from quince.worker.observing import ObservedSteps
from quince.worker.outbox import Outbox
from quince.worker.worker import Worker
from quince_messaging.contract import BroadcastMessage
from quince_persistence.records import State


def test_without_settings_nothing_is_wrapped(tmp_path: Path) -> None:
    made: list[Worker] = []
    init = Worker.__init__

    def noted(self: Worker, *given: object, **named: object) -> None:
        init(self, *given, **named)  # type: ignore[arg-type]
        made.append(self)

    Worker.__init__ = noted  # type: ignore[method-assign]
    try:
        with sandbox(tmp_path):
            (worker,) = made
            assert type(worker.outbox) is Outbox
            assert type(worker._steps).__name__ in ("HostPool", "InlineSteps")
            assert not worker._observers.each
    finally:
        Worker.__init__ = init  # type: ignore[method-assign]


def test_a_change_of_many_is_one_of_each() -> None:
    """As it is announced when a tree is killed."""
    seen: list[tuple[int, State]] = []

    class Looks:
        def changed(self, pid: int, state: State, _class_path: str | None) -> None:
            seen.append((pid, state))

    steps = ObservedSteps(cast(Any, None), [cast(Any, Looks())])
    body = {"pids": [3, 5], "state": "killed"}
    steps.changed(BroadcastMessage(body, None, "state_changed.waiting.killed", None))
    steps.changed(BroadcastMessage({"pid": 7}, "7", "state_changed.created.finished", None))
    steps.changed(BroadcastMessage({"pid": 9}, "9", "state_changed.running.running", None))
    assert seen == [(3, State.KILLED), (5, State.KILLED), (7, State.FINISHED)]
