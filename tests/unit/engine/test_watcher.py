"""Waiting goes on while the store is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from quince import Workspace, get_process, submit
from quince_persistence.errors import StoreMoved, StoreUnavailable
from quince_persistence.store import Store
from tests import flows

Away = Callable[..., None]


def failing(read: Callable[..., Any], error: StoreUnavailable, times: int, answered: int) -> Any:
    looks = iter([*[None] * answered, *[error] * times])

    def look(*what: Any) -> Any:
        if (failure := next(looks, None)) is not None:
            raise failure
        return read(*what)

    return look


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    """The store answers so many looks, and then fails so many times."""

    def go(error: StoreUnavailable, times: int, answered: int = 1) -> None:
        for name in ("select", "get"):
            monkeypatch.setattr(Store, name, failing(getattr(Store, name), error, times, answered))

    monkeypatch.setattr("quince.workspace.watcher.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("quince.workspace.watcher.FIRST_PAUSE", 0.01)
    return go


@pytest.fixture
def pid(quince_workspace: Workspace) -> int:
    return submit(flows.Sleeper, seconds=0, workspace=quince_workspace).pid


def test_a_wait_goes_on_and_tells_once(
    quince_workspace: Workspace, pid: int, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    away(StoreUnavailable("is being restarted (1)"), 5)
    seen: list[int] = []
    with caplog.at_level(logging.WARNING, "quince"):
        quince_workspace.watcher.wait(
            [pid], lambda _: len(seen) > 7, 20, progress=lambda rows: seen.append(len(rows))
        )
    assert seen[:8] == [1] * 8, "progress is told meanwhile, too"
    assert caplog.text.count("is being restarted (1); it is tried again") == 1


async def test_so_does_one_of_a_coroutine(quince_workspace: Workspace, pid: int, away: Away) -> None:
    away(StoreUnavailable("is being restarted (2)"), 5)
    looks: list[object] = []
    await quince_workspace.watcher.wait_async([pid], lambda _: len(looks) > 6, 20, progress=looks.append)


def test_a_history_is_followed_over_it(quince_workspace: Workspace, pid: int, away: Away) -> None:
    handle = get_process(pid, workspace=quince_workspace)
    handle.pause("a moment")
    history = quince_workspace.watcher.follow(pid)
    first = next(history)
    handle.kill("enough")
    away(StoreUnavailable("is being restarted (3)"), 5, answered=0)
    assert [event.seq for event in history][-1] > first.seq


def test_what_progress_reads_may_be_away_too(quince_workspace: Workspace, pid: int) -> None:
    looks: list[object] = []

    def progress(rows: object) -> None:
        looks.append(rows)
        if len(looks) < 3:
            raise StoreUnavailable("is being restarted (4)")

    quince_workspace.watcher.wait([pid], lambda _: len(looks) > 3, 20, progress=progress)


def test_when_the_time_is_over_the_error_is_told(quince_workspace: Workspace, pid: int, away: Away) -> None:
    away(StoreUnavailable("is away for long"), 1_000_000)
    with pytest.raises(StoreUnavailable, match="for long"):
        quince_workspace.watcher.wait([pid], lambda _: False, 0.1)


def test_one_that_was_moved_is_not_waited_for(quince_workspace: Workspace, pid: int, away: Away) -> None:
    away(StoreMoved("was moved"), 1_000)
    with pytest.raises(StoreMoved):
        quince_workspace.watcher.wait([pid], lambda _: False, 20)


def test_one_that_never_answered_is_not_waited_for(quince_workspace: Workspace, pid: int, away: Away) -> None:
    away(StoreUnavailable("no"), 1_000, answered=0)
    with pytest.raises(StoreUnavailable):
        quince_workspace.watcher.wait([pid], lambda _: False, 20)
