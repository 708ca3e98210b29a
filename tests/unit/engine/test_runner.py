"""What a runner does while the store does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from quince.processes.process import Process
from quince.worker.claimed_process import ClaimedProcess
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import Result
from tests.unit.engine.solo import solo


class Plain(Process):
    def run(self) -> None: ...


async def test_a_store_that_is_away_is_waited_for_when_children_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that did not learn how its children ended must not be lost in the worker's memory."""
    monkeypatch.setattr("quince.patience.LONGEST_PAUSE", 0.0)
    asked: list[Sequence[int]] = []

    def results(pids: Sequence[int], *, small: int) -> list[Result]:
        asked.append(pids)
        if len(asked) < 3:
            raise StoreUnavailable("away")
        return []

    owner: Any = SimpleNamespace(id="w", store=SimpleNamespace(results=results), troubles={})
    with solo() as host:
        claimed = ClaimedProcess(owner, host.claimed(host.submitted(Plain)))
        await claimed.read_ends([])
        assert asked == []
        await claimed.read_ends([7])
    assert list(map(set, asked)) == [{7, claimed.pid}] * 3
