"""When a worker of which nothing is heard is taken for dead."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quince.recovery.sweeper import SUSPICION_SECONDS, SWEEP_SECONDS, Sweeper
from quince_persistence.records.workers import Sweep, WorkerRow

SILENT = WorkerRow("far:1:aa", "far", 1, "w", (), 1, None, "running", 0.0, 1.0)


class _Slow:
    """A store that somebody holds up for so long at each sweep."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def sweep(self, **_: Any) -> Future[Sweep]:
        self._clock[0] += self._seconds
        done: Future[Sweep] = Future()
        done.set_result(Sweep(enqueue=[], due=[], dead=[SILENT]))
        return done


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 3), (30.0, 3)])
async def test_time_for_which_a_sweep_waited_is_no_silence_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, rounds: int
) -> None:
    """A write of 30 s keeps heartbeats away as it does sweeps: as many rounds are watched as ever."""
    clock, buried = [100.0], list[int]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    outbox = SimpleNamespace(enqueue=list, enqueue_unowned=list)
    worker: Any = SimpleNamespace(
        id="near:1:bb", store=_Slow(clock, seconds), outbox=outbox, queues=(), runners={}, location=None,
        wakeups=SimpleNamespace(ended=list),
    )  # fmt: skip
    sweeper = Sweeper(worker, SimpleNamespace())

    async def bury(dead: Any, *, silent: bool) -> None:
        assert silent
        buried.append(len(dead))

    monkeypatch.setattr(sweeper, "_release_all", bury)
    for _ in range(rounds):
        await sweeper._sweep()
        clock[0] += SWEEP_SECONDS
    assert SWEEP_SECONDS < SUSPICION_SECONDS < 2 * SWEEP_SECONDS
    assert buried == [0, 0, 1]
