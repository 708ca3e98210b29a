"""What a runner does while the store does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from quince.processes.child import ChildProcess
from quince.processes.process import Process
from quince.worker.runner import Runner
from quince_persistence.errors import StoreUnavailable
from tests.unit.engine.solo import solo


class Plain(Process):
    def run(self) -> None: ...


async def test_a_store_that_is_away_is_waited_for_when_children_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that did not learn how its children ended must not be lost in the worker's memory."""
    monkeypatch.setattr("quince.patience.LONGEST_PAUSE", 0.0)
    asked: list[Sequence[ChildProcess]] = []

    async def load_children(children: Sequence[ChildProcess], _pid: int) -> None:
        asked.append(children)
        if len(asked) < 3:
            raise StoreUnavailable("away")

    crew: Any = SimpleNamespace(load_children=load_children, troubles={})
    children = [ChildProcess(7)]
    with solo() as host:
        runner = Runner(crew, host.claimed(host.submitted(Plain)))
        await runner._look_at([])
        assert asked == []
        await runner._look_at(children)
    assert asked == [children] * 3
