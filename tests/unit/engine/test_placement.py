"""Where the next step runs: who waits behind whom, and how many step hosts there are."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from quince.hosts.protocol import Kind
from quince.hosts.who_runs import Running
from quince.worker import placement as placement_module
from quince.worker.placement import PARALLEL, Placement
from quince.worker.step_host import StepHost


@dataclass(eq=False)
class Step:
    """The next step of a process."""

    class_path: str = "flows:Chain"
    root: str | None = None
    alone: bool = False
    pid: int = 0
    host: Host | None = None

    def taken_back(self) -> None:
        self.host = None


@dataclass(eq=False)
class Host:
    """A step host in which nothing runs but a clock."""

    root: str | None
    kind: Kind
    hosts: list[Host]
    guests: dict[int, Step] = field(default_factory=dict)
    loading: bool = False
    retired: bool = False
    frozen: bool = False
    blocked_by: int = 0
    over: bool = False
    since: float | None = None

    def __post_init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.shared = self.kind is not Kind.ALONE
        self.who_runs = self
        self.hosts.append(self)

    @property
    def usable(self) -> bool:
        return not (self.retired or self.over or self.frozen)

    def now(self) -> Running | None:
        return None if self.since is None else Running(1, self.since)

    def take_back(self) -> list[Step]:
        first, *rest = self.guests.items()
        self.guests = dict([first])
        return [step for _, step in rest]

    def close(self, _end: object = None) -> None:
        self.over = True
        self.hosts.remove(self)


class Crowd:
    """A placement, and steps that it places."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.placement = Placement(cast("Any", lambda root, kind: Host(root, kind, self.hosts)))

    def begin(self, step: Step, now: Host | None = None) -> Host:
        host = cast("Host", self.placement.place(step, cast("StepHost | None", now)))
        step.pid = step.pid or 1 + max((pid for one in self.hosts for pid in one.guests), default=0)
        host.guests[step.pid], step.host = step, host
        return host

    def loaded(self, host: Host, kind: Kind) -> None:
        self.placement.loaded(cast("StepHost", host), "flows:Chain", kind)

    def known(self, kind: Kind, seconds: float = 0.0) -> None:
        self.placement.belongs("flows:Chain", kind)
        for _ in range(20):
            self.placement.ran(Step(), seconds)


def test_one_host_loads_a_class_and_the_others_wait_for_what_it_says() -> None:
    async def story() -> None:
        crowd = Crowd()
        steps = [Step() for _ in range(10)]
        (first,) = {crowd.begin(step) for step in steps}
        crowd.loaded(first, Kind.COROUTINES)
        assert [step.host for step in steps] == [first] + 9 * [None]
        (shared,) = {crowd.begin(step) for step in steps[1:]}
        assert shared.kind is Kind.COROUTINES

    asyncio.run(story())


def test_another_host_loads_a_class_if_the_first_has_died() -> None:
    async def story() -> None:
        crowd = Crowd()
        first = crowd.begin(Step())
        first.close()
        crowd.placement.discard(cast("StepHost", first))
        assert crowd.begin(Step()) is not first

    asyncio.run(story())


def test_another_host_loads_a_class_if_the_first_stands_still() -> None:
    """A process was paused in the midst of the import. (Found by the simulation: seed 9288.)"""

    async def story() -> None:
        crowd = Crowd()
        first = crowd.begin(Step())
        first.frozen = True
        assert crowd.begin(Step()) is not first

    asyncio.run(story())


def test_quick_steps_wait_behind_each_other_and_long_ones_do_not() -> None:
    async def story() -> None:
        for seconds, count in ((0.0001, PARALLEL), (1.0, 10)):
            crowd = Crowd()
            crowd.known(Kind.ALONE, seconds)
            for _ in range(10):
                crowd.begin(Step())
            assert len(crowd.hosts) == count

    asyncio.run(story())


def test_nobody_is_put_behind_a_step_that_takes_long_already() -> None:
    async def story() -> None:
        crowd = Crowd()
        crowd.known(Kind.ALONE)
        for _ in range(PARALLEL):
            crowd.begin(Step()).since = time.monotonic() - 1
        assert not crowd.begin(Step()).since

    asyncio.run(story())


def test_who_waits_behind_a_step_that_takes_long_gets_another_host() -> None:
    async def story() -> None:
        crowd = Crowd()
        crowd.known(Kind.ALONE)
        steps = [Step() for _ in range(2 * PARALLEL)]
        for step in steps:
            crowd.begin(step)
        for host in crowd.hosts:
            host.since = time.monotonic()
        await asyncio.sleep(5 * placement_module.LATE_SECONDS)
        assert [step.host for step in steps].count(None) == PARALLEL

    asyncio.run(story())


def test_a_process_stays_where_it_is_loaded() -> None:
    async def story() -> None:
        crowd = Crowd()
        for kind in (Kind.ALONE, Kind.COROUTINES):
            crowd.known(kind)
            step = Step()
            host = crowd.begin(step)
            del host.guests[step.pid]
            crowd.begin(Step(root="elsewhere"))
            assert crowd.begin(step, host) is host
            host.retired = True
            assert crowd.begin(step, host) is not host

    asyncio.run(story())


def test_one_host_knows_one_root() -> None:
    async def story() -> None:
        crowd = Crowd()
        crowd.known(Kind.COROUTINES)
        assert crowd.begin(Step(root="one")) is not crowd.begin(Step(root="other"))

    asyncio.run(story())


def test_few_hosts_are_kept_that_have_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_module, "IDLE_SECONDS", 0.05)

    async def story() -> None:
        crowd = Crowd()
        crowd.known(Kind.ALONE, 1.0)
        steps = [Step() for _ in range(PARALLEL + 5)]
        hosts = [crowd.begin(step) for step in steps]
        await asyncio.sleep(0.2)
        assert len(crowd.hosts) == len(hosts)
        for host in hosts[1:]:
            host.guests.clear()
        await asyncio.sleep(0.2)
        assert len(crowd.hosts) == 1 + PARALLEL
        assert hosts[0] in crowd.hosts

    asyncio.run(story())
