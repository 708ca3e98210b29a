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
async def group_commit(tmp_path: Path) -> AsyncIterator[GroupCommit]:
    group_commit = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await group_commit.open()
    yield group_commit
    await group_commit.close()


def put(file: TaskDb) -> None:
    file.insert([("q", 0, b"good")])


async def size(group_commit: GroupCommit) -> int:
    return await group_commit.run(lambda file: file.size("q"))


async def test_small_work_runs_on_the_loop_and_heavy_work_does_not(group_commit: GroupCommit) -> None:
    assert await group_commit.run(lambda _: threading.get_ident()) == threading.get_ident()
    assert await group_commit.run(lambda _: threading.get_ident(), heavy=True) != threading.get_ident()
    assert await group_commit.run(lambda _: threading.get_ident()) == threading.get_ident()


async def test_while_somebody_check_points_the_loop_goes_on(
    group_commit: GroupCommit, tmp_path: Path
) -> None:
    other = FileLock(tmp_path / "tasks.gate")
    assert other.try_exclusive()
    waiting = group_commit.run(lambda _: threading.get_ident())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    other.unlock()
    assert await waiting != threading.get_ident()
    other.close()


async def test_whoever_stands_in_the_way_too_long_is_said(
    group_commit: GroupCommit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quince_messaging.transports.local.file_lock.PATIENCE", 0.1)
    frozen = sqlite3.connect(tmp_path / "tasks.sqlite", isolation_level=None)
    frozen.execute("BEGIN IMMEDIATE")
    first, second = group_commit.run(put), group_commit.run(put, heavy=True)
    with pytest.raises(DeliveryFailed, match=r"another process .* does not go on"):
        await first
    with pytest.raises(DeliveryFailed, match=r"another process .* does not go on"):
        await second
    frozen.execute("ROLLBACK")
    frozen.close()
    await group_commit.run(put)
    assert await size(group_commit) == 1


async def test_work_is_done_in_the_order_in_which_it_was_asked_for(group_commit: GroupCommit) -> None:
    seen: list[int] = []
    weights = [False, True, False, False, True, False]

    def note(number: int, _: TaskDb) -> None:
        seen.append(number)

    for number, weight in enumerate(weights):
        group_commit.run_unwatched(functools.partial(note, number), heavy=weight)
        await asyncio.sleep(0)
    await size(group_commit)
    assert seen == list(range(len(weights)))


@pytest.mark.parametrize("heavy", [False, True])
async def test_poison_fails_alone_and_writes_nothing(group_commit: GroupCommit, heavy: bool) -> None:
    def poison(file: TaskDb) -> None:
        file.insert([("q", 0, b"half"), ("q", 0, None)])  # type: ignore[list-item]

    before, bad, after = (group_commit.run(work, heavy=heavy) for work in (put, poison, put))
    await before
    await after
    with pytest.raises(DeliveryFailed, match="NOT NULL"):
        await bad
    assert await size(group_commit) == 2


async def test_durable_ends_after_the_commit_or_with_its_error(group_commit: GroupCommit) -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []
    durable: asyncio.Future[None] = loop.create_future()
    group_commit.run_then(put, lambda *_: order.append("stored"), durable=durable)
    await durable
    assert order == ["stored"]
    failed: asyncio.Future[None] = loop.create_future()
    group_commit.run_then(
        lambda file: file.insert([("q", 0, None)]),  # type: ignore[list-item]
        lambda _, error: order.append(type(error).__name__),
        durable=failed,
    )
    with pytest.raises(DeliveryFailed):
        await failed
    assert order == ["stored", "DeliveryFailed"]


async def test_closing_commits_what_was_asked_for_and_refuses_more(tmp_path: Path) -> None:
    group_commit = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await group_commit.open()
    last = group_commit.run(lambda file: file.insert([("q", 0, b"last")]))
    await group_commit.close()
    await group_commit.close()
    assert last.done()
    with pytest.raises(CommunicatorClosed):
        group_commit.run(lambda file: file.size("q"))
    again = GroupCommit(TaskDb(tmp_path / "tasks.sqlite", tmp_path / "tasks.gate"))
    await again.open()
    assert await size(again) == 1
    await again.close()


async def test_the_log_does_not_grow_for_ever(group_commit: GroupCommit, tmp_path: Path) -> None:
    for _ in range(6000):
        await group_commit.run(lambda file: file.insert([("q", 0, b"x" * 500)]))
        await group_commit.run(lambda file: file.purge("q"))
    log = (tmp_path / "tasks.sqlite-wal").stat().st_size
    assert log < 40_000_000
