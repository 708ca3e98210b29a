"""Who is asked after by whom, and when silence counts."""

from __future__ import annotations

import time
from typing import Any

import pytest

import quince_messaging
from quince.recovery import broker_presence as presence
from quince.recovery.broker_presence import BrokerPresence
from quince_persistence.records.workers import WorkerRow


def worker(host: str, number: int, heartbeat: float = 1.0) -> WorkerRow:
    name = f"{host}:{number}:aa"
    return WorkerRow(name, host, number, name, (), 1, None, "running", 0.0, heartbeat)


A1, A2, B1, B2, C1 = worker("a", 1), worker("a", 2), worker("b", 1), worker("b", 2), worker("c", 1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time, in its only element."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


@pytest.fixture
async def communicator() -> Any:
    """A broker that `b:1:aa` is connected to and nobody else."""
    async with quince_messaging.connect_async(f"memory://{id(object())}") as opened:
        await opened.add_rpc_subscriber(answer, B1.id)
        yield opened


async def answer(_communicator: Any, _body: Any) -> None:
    return None


async def looks(own: BrokerPresence, workers: list[WorkerRow], times: int, now: list[float]) -> list[str]:
    """Ids of those that have vanished after so many looks, half a second apart."""
    for _ in range(times):
        now[0] += 0.5
        own.saw(workers, now[0])
    return [one.id for one in await own.vanished(workers)]


async def test_silent_and_gone_is_dead(communicator: Any, now: list[float]) -> None:
    own = BrokerPresence(A1.id, communicator)
    assert await looks(own, [A1, B1, B2], 7, now) == []
    assert await looks(own, [A1, B1, B2], 2, now) == [B2.id], "b:1 answers, b:2 does not"


async def test_who_beats_lives_without_the_broker(communicator: Any, now: list[float]) -> None:
    own = BrokerPresence(A1.id, communicator)
    for beat in range(8):
        assert await looks(own, [A1, worker("b", 2, float(beat))], 6, now) == []


async def test_a_reader_that_was_away_has_seen_nothing(communicator: Any, now: list[float]) -> None:
    own = BrokerPresence(A1.id, communicator)
    await looks(own, [A1, B2], 7, now)
    now[0] += presence.GAP_SECONDS + 1
    assert await looks(own, [A1, B2], 7, now) == []
    assert await looks(own, [A1, B2], 2, now) == [B2.id]


async def test_each_host_watches_the_next_and_one_worker_does_it(communicator: Any, now: list[float]) -> None:
    crew = [A1, A2, B2, C1]
    found = {one.id: await looks(BrokerPresence(one.id, communicator), crew, 9, now) for one in crew}
    assert found == {A1.id: [B2.id], A2.id: [], B2.id: [C1.id], C1.id: [A1.id, A2.id]}
