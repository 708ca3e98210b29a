"""Which coroutine is named for a host that is held up, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest

from quince.hosts.last_words import LastWords
from quince.hosts.protocol import Kind
from quince.hosts.who_runs import WhoRuns, new_page
from quince.os_process import is_stopped
from quince.worker.loop_watch import DEAF_LOOKS, LATE, LoopWatch

FRAME = b'Stack (most recent call first):\n  File "/home/ada/flows.py", line 7 in work\n'


class Seen(SimpleNamespace):
    """A host, as far as it is looked at."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Scene:
    """A host that 12 and 13 share, whose clock is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        page, self.now = new_page(), 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "monotonic_ns", lambda: int(self.now * 1e9))
        self.who_runs, words = WhoRuns(page), LastWords()
        os.close(page)
        guests = {pid: SimpleNamespace(pid=pid, class_path="flows:Flow") for pid in (12, 13)}
        self.host: Any = Seen(
            kind=Kind.COROUTINES, over=False, blocked_by=0, stopped=False, frozen=False, ospid=77,
            who_runs=self.who_runs, words=words, guests=guests, classes={"flows:Flow": 0.0},
            ask_where=lambda: os.write(words.descriptor, FRAME), unanswered=0,
            retire=lambda: self.retired.append(self.host),
        )  # fmt: skip
        self.retired: list[Any] = []
        self.host.ask_whether_it_hears = lambda: setattr(
            self.host, "unanswered", self.host.unanswered + 1
        )  # fmt: skip
        self.events: list[tuple[int, str]] = []
        self.blocked: list[int] = []
        side = SimpleNamespace(also=[], keep=lambda *_, **__: None)
        store = SimpleNamespace(report=lambda pid, lines: self.events.append((pid, lines[0].body["text"])))
        owner: Any = SimpleNamespace(id="w", side=side, store=store)
        self.watch = LoopWatch(owner, lambda: [self.host], lambda _, guest: self.blocked.append(guest.pid))

    async def passes(self, seconds: float, looks: int = 2) -> None:
        self.now += seconds
        for _ in range(looks):
            await self.watch._look()


async def test_who_holds_up_a_host_is_named_once_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    before = scene.who_runs.enter(12)
    await scene.passes(LATE - 0.1)
    assert scene.watch.sentences() == []
    await scene.passes(0.2, looks=5)
    (sentence,) = scene.watch.sentences()
    assert sentence.startswith(
        "process 12, 13: its step host is blocked for 1 s by process 12 (Flow), in flows.py"
    )
    ((pid, text),) = scene.events
    assert pid == 12
    assert "for more than 1 s, in flows.py, line 7, in work: a step that blocks is to be `def`" in text
    assert scene.blocked == [12]
    scene.who_runs.leave(before)
    await scene.passes(0.1)
    assert scene.watch.sentences() == []
    scene.who_runs.enter(12)
    await scene.passes(LATE + 0.1)
    assert len(scene.events) == 1, "once for each step"


async def test_who_gives_the_loop_back_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    for _ in range(4):
        before = scene.who_runs.enter(13)
        await scene.passes(LATE / 2)
        scene.who_runs.leave(before)
    assert scene.events == []


async def test_an_import_and_a_wait_inside_are_no_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    del scene.host.classes["flows:Flow"]
    scene.who_runs.enter(12)
    await scene.passes(5.0)
    scene.host.classes["flows:Flow"] = scene.now
    await scene.passes(LATE / 2)
    scene.host.blocked_by = 12
    await scene.passes(5.0)
    assert scene.events == []
    scene.host.blocked_by = 0
    await scene.passes(0.0)
    assert [pid for pid, _ in scene.events] == [12]


async def test_a_stopped_host_is_told_of_for_all_that_run_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.host.kind, scene.host.stopped = Kind.ALONE, True
    await scene.watch._look_for_stopped()
    told = "process 12, 13: its step host is blocked: it is stopped (SIGSTOP); `kill -CONT 77` lets it go on"
    assert scene.watch.sentences() == [told]
    scene.host.stopped = False
    await scene.watch._look_for_stopped()
    assert scene.watch.sentences() == []


async def test_a_host_that_answers_nothing_is_told_of_and_gets_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    for _ in range(DEAF_LOOKS):
        await scene.watch._look_for_stopped()
    assert (scene.watch.sentences(), scene.retired) == ([], [])
    before = scene.who_runs.enter(12)
    await scene.watch._look_for_stopped()
    scene.who_runs.leave(before)
    for _ in range(DEAF_LOOKS + 1):
        assert not scene.retired, "it was late for the code that ran there"
        await scene.watch._look_for_stopped()
    (sentence,) = scene.watch.sentences()
    assert sentence.startswith("process 12, 13: its step host is blocked: its event loop does not go on; ")
    assert scene.retired == [scene.host]
    for name in ("frozen", "ospid"):  # a pause, or one that is not forked yet
        was = getattr(scene.host, name)
        setattr(scene.host, name, not was)
        await scene.watch._look_for_stopped()
        assert scene.watch.sentences() == []
        setattr(scene.host, name, was)
    scene.host.unanswered = 0  # it has answered
    await scene.watch._look_for_stopped()
    assert scene.watch.sentences() == []


def test_a_stopped_process_is_told_from_one_that_runs_or_is_gone() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert not is_stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_stopped(child.pid)
    finally:
        child.kill()
        child.wait()
    assert not is_stopped(child.pid)
