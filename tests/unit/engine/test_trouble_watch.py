"""Troubles of a worker that last are told once, also while the store is away."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from quince.concurrency import StepThreads
from quince.worker.interfaces import Owner
from quince.worker.trouble_watch import AGAIN_SECONDS, LASTING_SECONDS, TroubleWatch
from quince.workspace.receivers import Receiver
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records.notices import Happening


class StandIn:
    """A store that takes turns and notices, or is away."""

    identity = "0123456789ab"

    def __init__(self) -> None:
        self.away = False
        self.turns: set[str] = set()
        self.notices: list[str] = []

    def take_turn(self, name: str, *, every: float) -> Future[bool]:
        assert every == AGAIN_SECONDS
        future: Future[bool] = Future()
        if self.away:
            future.set_exception(StoreUnavailable("away"))
        else:
            future.set_result(name not in self.turns)
            self.turns.add(name)
        return future

    def add_notice(self, name: str, event: Happening, body: dict[str, Any]) -> Future[None]:
        assert event is Happening.TROUBLE
        self.notices.append(body["text"])
        future: Future[None] = Future()
        future.set_result(None)
        return future


class Watched:
    """A worker that says what a test wants, and a clock."""

    def __init__(self, folder: Path, store: StandIn) -> None:
        self.said: list[str] = []
        self.now = 0.0
        location = SimpleNamespace(folder=folder, state=folder / ".quince")
        owner = SimpleNamespace(
            id="h:1:a", name="worker-1", store=store, location=location,
            side=SimpleNamespace(sentences=lambda: self.said),
        )  # fmt: skip
        told = Receiver("a", frozenset({Happening.TROUBLE}), command=("sh", "-c", "cat >> told"))
        self.watch = TroubleWatch(cast("Owner", owner), [told], StepThreads(1), lambda: self.now)

    def look(self, after: float, *said: str) -> None:
        self.now += after
        self.said = list(said)
        asyncio.run(self.watch.look())


@pytest.fixture
def store() -> StandIn:
    return StandIn()


def test_what_lasts_is_told_once_and_again_after_an_hour(tmp_path: Path, store: StandIn) -> None:
    one, other = Watched(tmp_path, store), Watched(tmp_path, store)
    for worker in (one, other):
        worker.look(0, "the broker failed 3 times within 9 s")
        worker.look(LASTING_SECONDS - 1, "the broker failed 8 times within 60 s")
        assert not store.notices
    for worker in (one, other):
        worker.look(2, "the broker failed 9 times within 62 s", "2 steps wait inside for other processes: 7")
    (text,) = store.notices
    assert "in trouble for 61 s: the broker failed 9 times" in text
    one.look(AGAIN_SECONDS / 2, "the broker failed 99 times within 999 s")
    store.turns.clear()
    one.look(AGAIN_SECONDS / 2, "the broker failed 999 times within 9999 s")
    assert len(store.notices) == 2


def test_what_passes_is_nobodys_concern(tmp_path: Path, store: StandIn) -> None:
    worker = Watched(tmp_path, store)
    for _ in range(5):
        worker.look(LASTING_SECONDS - 1, "the broker failed")
        worker.look(1)
    assert not store.notices


def test_without_the_store_one_worker_of_the_host_tells(tmp_path: Path, store: StandIn) -> None:
    store.away = True
    for _ in range(2):
        worker = Watched(tmp_path, store)
        worker.look(0, "the store is away")
        worker.look(LASTING_SECONDS, "the store is away")
    assert (tmp_path / "told").read_text().count("in trouble for 60 s: the store is away") == 1
