"""Who is to blame when a step host dies, and what becomes of a process whose hosts die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quince.hosts.failures import HostDied
from quince.hosts.last_words import LastWords
from quince.hosts.protocol import Begin, Kind
from quince.hosts.template import Ended
from quince.hosts.who_runs import WhoRuns, new_page
from quince.processes.process import Process
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.host_deaths import LONGEST_PAUSE, HostDeaths
from quince.worker.host_end import HostEnd, end_of
from quince.worker.step_host import StepHost
from quince_persistence.records import MAX_DEATHS, State
from tests.unit.engine.solo import solo


class Guest:
    """Notes what it is told."""

    class_path = "flows:Flow"

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.told = ""

    def done(self, done: Any) -> None: ...

    def said(self, said: Any) -> None: ...

    def under_terms(self, terms: Any) -> None: ...

    def says(self, telling: Any) -> None: ...

    def taken_back(self) -> None:
        self.told = "taken back"

    def refused(self, reason: str) -> None:
        self.told = reason

    def died(self, error: HostDied) -> None:
        self.told = "blamed" if error.own else "run again"


class Host:
    """A step host without a program: what it does is done here."""

    def __init__(self, kind: Kind, guests: int) -> None:
        self._over = asyncio.Event()
        self._link, ours = socket.socketpair()
        page = new_page()
        self.who_runs = WhoRuns(page)
        self.permits = None if kind is not Kind.ALONE else os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
        unheard: Any = lambda *_: None  # noqa: E731
        self.seen = StepHost(
            ours, None, kind, who_runs=WhoRuns(page), words=LastWords(), permits=self.permits,
            serve=unheard, loaded=unheard, gone=lambda _: self._over.set(),
        )  # fmt: skip
        os.close(page)
        self.seen.born(2**22 + 1)  # of nobody
        self.guests = [Guest(pid) for pid in range(1, guests + 1)]
        for guest in self.guests:
            self.seen.begin(guest, Begin(guest.pid))

    def takes_one(self) -> None:
        assert self.permits is not None
        os.eventfd_read(self.permits)

    async def dies(self, end: HostEnd | None = None) -> list[str]:
        if end is None:
            self.seen.died(Ended(self.seen.ospid, signal.SIGSEGV))
        else:
            self.seen.ended(end)
        self._link.close()
        await asyncio.wait_for(self._over.wait(), 5)
        return [guest.told for guest in self.guests]


async def test_among_coroutines_whose_code_ran_is_blamed_and_nobody_else() -> None:
    host = Host(Kind.COROUTINES, 3)
    host.who_runs.enter(2)
    assert await host.dies() == ["run again", "blamed", "run again"]


async def test_a_host_in_which_nobodys_code_ran_blames_nobody() -> None:
    host = Host(Kind.COROUTINES, 2)
    host.who_runs.leave(host.who_runs.enter(1))
    assert await host.dies() == ["run again", "run again"]


async def test_who_is_the_only_one_is_blamed_for_a_thread_too_but_not_for_a_kill_from_outside() -> None:
    for end, told in ((None, "blamed"), (end_of(signal.SIGKILL), "run again")):
        host = Host(Kind.COROUTINES, 1)
        host.who_runs.leave(host.who_runs.enter(1))
        assert await host.dies(end) == [told]


async def test_of_a_queue_the_first_is_blamed_and_the_others_go_elsewhere() -> None:
    host = Host(Kind.ALONE, 3)
    host.takes_one()
    host.who_runs.enter(1)
    assert await host.dies() == ["blamed", "taken back", "taken back"]


async def test_a_host_that_dies_before_it_begins_anything_is_told_and_blames_nobody() -> None:
    reason = (
        "no step host lives until it begins the step; the last one was ended by SIGSEGV (segmentation fault)"
    )
    assert await Host(Kind.ALONE, 2).dies() == [reason] * 2


async def test_what_the_worker_does_blames_nobody() -> None:
    host = Host(Kind.COROUTINES, 1)
    host.who_runs.enter(1)
    assert await host.dies(HostEnd("ended with its template", of_worker=True)) == ["run again"]


async def test_one_that_was_closed_before_it_was_made_may_end_at_any_time() -> None:
    host = Host(Kind.COROUTINES, 0)
    host.seen.close()
    assert await host.dies() == []


class Plain(Process):
    def run(self) -> None: ...


@asynccontextmanager
async def counted(folder: Path) -> AsyncIterator[tuple[HostDeaths, ClaimedProcess, Any]]:
    with solo() as host:
        claim = host.claimed(host.submitted(Plain))
        host.store.on_batch = asyncio.get_running_loop().call_soon_threadsafe
        owner: Any = SimpleNamespace(
            id=host.id, store=host.store, troubles={}, location=SimpleNamespace(folder=folder),
            wakeups=SimpleNamespace(wake=lambda _: None), excepted=lambda *_: None,
        )  # fmt: skip
        claimed = ClaimedProcess(owner, claim)
        yield HostDeaths(owner, claimed, claim), claimed, host


async def test_who_ends_its_hosts_rests_longer_each_time_and_ends_with_the_story(tmp_path: Path) -> None:
    crash = HostDied("was ended by SIGSEGV", 'File "flows.py", line 3 in run', own=True)
    async with counted(tmp_path) as (deaths, claimed, host):
        pauses = []
        for _ in range(MAX_DEATHS):
            assert not deaths.too_many
            await deaths.record(crash)
            pauses.append(deaths.pause(crash))
        assert pauses == sorted(set(pauses))
        assert pauses[0] <= 0.1
        assert sum(pauses[:-1]) < 5.0
        assert deaths.too_many
        step = deaths.last_step(crash, pause=False)
        assert step.state is State.EXCEPTED
        assert step.exit_message is not None
        assert step.exit_message.startswith("quince.errors.StepHostDied: its step host was ended by SIGSEGV")
        row = host.store.get(claimed.pid)
        assert (row.deaths, row.deaths_alone) == (MAX_DEATHS, MAX_DEATHS)


async def test_who_is_not_to_blame_goes_on_at_once_and_is_never_given_up(tmp_path: Path) -> None:
    other = HostDied("exited with status 3", own=False)
    async with counted(tmp_path) as (deaths, claimed, host):
        await deaths.record(other)
        assert deaths.pause(other) == 0.0
        for _ in range(3 * MAX_DEATHS):
            await deaths.record(other)
        assert deaths.pause(other) == LONGEST_PAUSE, "but a host that always dies is not made without end"
        assert not deaths.too_many
        row = host.store.get(claimed.pid)
        assert (row.deaths, row.deaths_alone) == (3 * MAX_DEATHS + 1, 0)


async def test_want_of_memory_gets_more_time_to_pass(tmp_path: Path) -> None:
    crash = HostDied("was ended by SIGSEGV", own=True)
    hunger = HostDied("was ended by the kernel", own=True, lacked_memory=True)
    async with counted(tmp_path) as (deaths, _, _):
        await deaths.record(crash)
        assert deaths.pause(hunger) >= 10 * deaths.pause(crash)
        deaths.over()
        await deaths.record(crash)
        assert not deaths.too_many
        assert deaths.pause(crash) == pytest.approx(0.1), "it counts those in a row"
