"""The sandbox of users' tests: a worker in this program, time that is skipped, and nothing left behind."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from quince import (
    ProcessState,
    Retry,
    StoreUnavailable,
    ToContext,
    WorkChain,
    any_,
    asubmit,
    find,
    get_process,
    get_schedule,
    process,
    remove_limit,
    run,
    schedule,
    set_limit,
    signal_,
    submit,
)
from quince.testing import Sandbox, failing, sandbox
from quince_persistence import clock


@process
def square(x: int) -> int:
    return x * x


class Naps(WorkChain):
    """Three timers of an hour, then an answer for which it waits a day."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("answer")
        spec.outline(cls.nap, cls.nap, cls.nap, cls.ask, cls.tell)

    def nap(self) -> None:
        self.sleep("1 h")
        self.report("asleep")

    def ask(self) -> ToContext:
        return ToContext(answer=signal_("answer", timeout="1 d"))

    def tell(self) -> None:
        self.out("answer", self.ctx.answer)


class Outsources(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outputs.dynamic = True
        spec.outline(cls.launch, cls.collect)

    def launch(self) -> None:
        self.to_context(parts=[self.submit(square, x=x) for x in range(3)])

    def collect(self) -> None:
        self.out("total", sum(part.outputs["result"] for part in self.ctx.parts))


def test_what_is_submitted_runs_here(quince_sandbox: Sandbox) -> None:
    assert submit(Outsources).result(30) == {"total": 5}
    assert run(square, x=3) == {"result": 9}
    assert [handle.state for handle in find()] == [ProcessState.FINISHED] * 5


async def test_coroutines_go_on_meanwhile(quince_sandbox: Sandbox) -> None:
    handle = await asubmit(square, x=3)
    assert await handle == {"result": 9}


def test_time_is_skipped_in_order(quince_sandbox: Sandbox) -> None:
    handle = submit(Naps)
    quince_sandbox.clock.advance(hours=1, minutes=30)
    assert handle.state is ProcessState.WAITING
    assert "its timer, due in 30 min" in handle.why().sentence
    quince_sandbox.clock.advance(hours=2)
    assert "signal" in handle.why().sentence
    quince_sandbox.clock.advance(days=1)
    assert handle.result(30) == {"answer": None}
    moments = [event.at for event in handle.history() if event.kind == "report"]
    assert [round((b - a) / 3600, 3) for a, b in itertools.pairwise(moments)] == [1.0, 1.0]


def test_a_signal_comes_before_its_time_out(quince_sandbox: Sandbox) -> None:
    handle = submit(Naps)
    quince_sandbox.clock.advance(hours=12)
    handle.signal("answer", "yes")
    quince_sandbox.settle()
    assert handle.result(30) == {"answer": "yes"}


def test_at_rest_is_also_who_is_paused_and_what_stands_on_a_queue_of_others(quince_sandbox: Sandbox) -> None:
    there = submit(square, x=2, queue="gpu")
    held = submit(Naps)
    quince_sandbox.settle()
    assert there.result(30) == {"result": 4}
    held.pause("a look")
    quince_sandbox.clock.advance(days=3)
    assert (held.state, held.paused) == (ProcessState.WAITING, True)
    held.play()
    quince_sandbox.settle()
    assert held.row.step == "nap"


def test_what_does_not_come_to_rest_is_named(
    quince_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = submit(stubborn)
    with pytest.raises(TimeoutError, match=f"process {handle.pid} .*stubborn"):
        quince_sandbox.settle(0.2)
    DONE.set()


DONE = threading.Event()


@process
def stubborn() -> None:
    DONE.wait(30)


class Late(WorkChain):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("late")
        spec.outline(cls.wait, cls.tell)

    def wait(self) -> ToContext:
        return any_(word=signal_("word"), other=self.submit(Naps), timeout="2 h")

    def tell(self) -> None:
        self.kill(self.ctx.other)
        self.out("late", self.timed_out)


@process(retry=Retry(4, first="1 h", longest="1 d", jitter=0))
def flaky() -> int:
    return int(service())


service = failing()


def test_retries_come_when_they_are_due(quince_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = failing(times=2, returns=7)
    monkeypatch.setattr(f"{__name__}.service", calls)
    handle, clock = submit(flaky), quince_sandbox.clock
    clock.advance(minutes=59)
    assert (calls.calls, handle.row.attempt) == (1, 1)
    clock.advance(minutes=2)
    assert (calls.calls, handle.row.attempt) == (2, 2)
    clock.advance(hours=2)
    assert handle.result(30) == {"result": 7}


def test_deadlines_and_time_outs_are_met(quince_sandbox: Sandbox) -> None:
    hurried = submit(Naps, deadline="90 min")
    late = submit(Late)
    quince_sandbox.clock.advance(hours=1)
    assert {hurried.state, late.state} == {ProcessState.WAITING}
    quince_sandbox.clock.advance(hours=2)
    assert hurried.state is ProcessState.KILLED
    assert late.result(30) == {"late": True}
    assert [one.state for one in find(cls=Naps)] == [ProcessState.KILLED] * 2


def test_limits_are_waited_for_and_rates_kept(quince_sandbox: Sandbox) -> None:
    set_limit("licence", 0)
    waits = submit(square, inputs={"x": 3}, limits=["licence"])
    quince_sandbox.settle()
    assert (waits.state, waits.row.granted) == (ProcessState.CREATED, False)
    remove_limit("licence")
    assert waits.result(30) == {"result": 9}
    set_limit("mail", rate="1/h")
    for x in range(4):
        submit(square, inputs={"x": x}, limits=["mail"])
    for ended in (1, 2, 3):
        quince_sandbox.settle()
        assert len(find(cls=square, state="finished")) == 1 + ended
        quince_sandbox.clock.advance(hours=1)


def test_schedules_fire_at_their_moments(quince_sandbox: Sandbox) -> None:
    schedule(square, x=2, name="hourly", every="1 h", overlap="queue")
    quince_sandbox.clock.advance(hours=5, minutes=1)
    made = [line for line in get_schedule("hourly").history() if line.pid is not None]
    assert len(made) == 5
    assert {round(b.at - a.at) for a, b in itertools.pairwise(made)} <= {3600, -3600}
    assert [one.state for one in find(cls=square)] == [ProcessState.FINISHED] * 5


def test_time_does_not_go_back(quince_sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="advance"):
        quince_sandbox.clock.advance(hours=-1)


def test_a_store_that_is_away_comes_back(quince_sandbox: Sandbox) -> None:
    handle = submit(Naps)
    quince_sandbox.settle()
    with quince_sandbox.store_away(), pytest.raises(StoreUnavailable, match="is away"):
        handle.signal("answer", 1)
    quince_sandbox.clock.advance(hours=1, minutes=1)
    assert [event.kind for event in handle.history()].count("report") == 2
    assert submit(square, x=4).result(30) == {"result": 16}


def test_a_broker_that_is_away_keeps_what_is_submitted_waiting(quince_sandbox: Sandbox) -> None:
    with quince_sandbox.broker_away():
        handle = submit(square, x=3)
        quince_sandbox.clock.advance("1 h")
        assert (handle.state, handle.kill("no").accepted) == (ProcessState.CREATED, True)
        other = submit(square, x=4)
        with pytest.raises(ConnectionError, match="is away"):
            run(square, x=5)
    quince_sandbox.settle()
    assert (handle.state, other.result(timeout=10)) == (ProcessState.KILLED, {"result": 16})


@pytest.mark.parametrize("outage", ["store_away", "broker_away"])
def test_it_ends_in_order_also_while_something_is_away(outage: str, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as outer, sandbox() as box:
        assert run(square, x=3) == {"result": 9}
        outer.enter_context(getattr(box, outage)())
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUINCE_STORE", "sqlite:////nowhere/at/all.db")
    before = _surroundings()
    with sandbox() as box:
        folder = box.folder
        Path("written.txt").write_text("a step's")
        submit(Outsources)
        box.clock.advance(days=400)
        waits = submit(Naps)
        box.settle()
        assert Path.cwd() == folder
    _nothing_came_to(before)
    assert not folder.exists()
    with sandbox() as other, pytest.raises(Exception, match="there is no process"):
        get_process(waits.pid, workspace=other.workspace).state  # noqa: B018


def test_a_failing_test_leaves_nothing_either() -> None:
    before = _surroundings()

    def fails() -> None:
        with sandbox() as box:
            submit(Naps)
            box.clock.advance(hours=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    _nothing_came_to(before)


def test_one_on_disk_stays_and_others_may_use_it(tmp_path: Path) -> None:
    with sandbox(tmp_path) as box:
        handle = submit(Naps)
        box.clock.advance(hours=2)
    with sandbox(tmp_path):
        assert get_process(handle.pid).state is ProcessState.WAITING


def _surroundings() -> tuple[Any, ...]:
    threads = {thread for thread in threading.enumerate() if thread.name.startswith("quince")}
    return threads, list(sys.path), dict(os.environ), Path.cwd(), clock.skipped()


def _nothing_came_to(before: tuple[Any, ...]) -> None:
    threads, *others = _surroundings()
    assert others == list(before[1:])
    for thread in threads - before[0]:  # they are about to end
        thread.join(5)
        assert not thread.is_alive(), thread.name
