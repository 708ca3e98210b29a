"""Group commit: order, poison, and who waits for whom."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quince_messaging.errors import CommunicatorClosed, DeliveryFailed
from quince_messaging.transports.local.file_lock import FileLock
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.task_db import TaskDb


@pytest.fixture
async def committer(tmp_path: Path) -> AsyncIterator[GroupCommit]:
    committer = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await committer.open()
    yield committer
    await committer.close()


def put(file: TaskDb) -> None:
    file.insert([("q", 0, b"good")])


async def size(committer: GroupCommit) -> int:
    return await committer.run(lambda file: file.size("q"))


async def test_small_work_runs_on_the_loop_and_heavy_work_does_not(committer: GroupCommit) -> None:
    assert await committer.run(lambda _: threading.get_ident()) == threading.get_ident()
    assert await committer.run(lambda _: threading.get_ident(), heavy=True) != threading.get_ident()
    assert await committer.run(lambda _: threading.get_ident()) == threading.get_ident()


async def test_while_somebody_check_points_the_loop_goes_on(committer: GroupCommit, tmp_path: Path) -> None:
    other = FileLock(tmp_path / "tasks.gate")
    assert other.try_enter_alone()
    waiting = committer.run(lambda _: threading.get_ident())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    other.leave()
    assert await waiting != threading.get_ident()
    other.close()


async def test_whoever_stands_in_the_way_too_long_is_said(
    committer: GroupCommit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.file_lock.PATIENCE", 0.1)
    frozen = sqlite3.connect(tmp_path / "tasks.sqlite", isolation_level=None)
    frozen.execute("BEGIN IMMEDIATE")
    first, second = committer.run(put), committer.run(put, heavy=True)
    with pytest.raises(DeliveryFailed, match=r"another process .* does not go on"):
        await first
    with pytest.raises(DeliveryFailed, match=r"another process .* does not go on"):
        await second
    frozen.execute("ROLLBACK")
    frozen.close()
    await committer.run(put)
    assert await size(committer) == 1


async def test_work_is_done_in_the_order_in_which_it_was_asked_for(committer: GroupCommit) -> None:
    seen: list[int] = []
    weights = [False, True, False, False, True, False]

    def note(number: int, _: TaskDb) -> None:
        seen.append(number)

    for number, weight in enumerate(weights):
        committer.run_unwatched(functools.partial(note, number), heavy=weight)
        await asyncio.sleep(0)
    await size(committer)
    assert seen == list(range(len(weights)))


@pytest.mark.parametrize("heavy", [False, True])
async def test_poison_fails_alone_and_writes_nothing(committer: GroupCommit, heavy: bool) -> None:
    def poison(file: TaskDb) -> None:
        file.insert([("q", 0, b"half"), ("q", 0, None)])  # type: ignore[list-item]

    before, bad, after = (committer.run(work, heavy=heavy) for work in (put, poison, put))
    await before
    await after
    with pytest.raises(DeliveryFailed, match="NOT NULL"):
        await bad
    assert await size(committer) == 2


async def test_durable_ends_after_the_commit_or_with_its_error(committer: GroupCommit) -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []
    durable: asyncio.Future[None] = loop.create_future()
    committer.run_then(put, lambda *_: order.append("stored"), durable=durable)
    await durable
    assert order == ["stored"]
    failed: asyncio.Future[None] = loop.create_future()
    committer.run_then(
        lambda file: file.insert([("q", 0, None)]),  # type: ignore[list-item]
        lambda _, error: order.append(type(error).__name__),
        durable=failed,
    )
    with pytest.raises(DeliveryFailed):
        await failed
    assert order == ["stored", "DeliveryFailed"]


async def test_closing_commits_what_was_asked_for_and_refuses_more(tmp_path: Path) -> None:
    committer = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await committer.open()
    last = committer.run(lambda file: file.insert([("q", 0, b"last")]))
    await committer.close()
    await committer.close()
    assert last.done()
    with pytest.raises(CommunicatorClosed):
        committer.run(lambda file: file.size("q"))
    again = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await again.open()
    assert await size(again) == 1
    await again.close()


async def test_the_log_does_not_grow_for_ever(committer: GroupCommit, tmp_path: Path) -> None:
    for _ in range(6000):
        await committer.run(lambda file: file.insert([("q", 0, b"x" * 500)]))
        await committer.run(lambda file: file.purge("q"))
    log = (tmp_path / "tasks.sqlite-wal").stat().st_size
    assert log < 40_000_000
