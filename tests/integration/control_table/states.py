"""How a process comes into the state of each row, in a place where workers run."""

from __future__ import annotations

from collections.abc import Callable

from quince import ProcessHandle, ProcessState, submit
from quince_persistence.records import Control, ProcessRow, Selection
from tests import flows
from tests.crew import eventually
from tests.integration import repeat_flows
from tests.integration.control_table.flows import (
    AnyOf,
    AtMost,
    Awaits,
    Blocks,
    BlocksTheLoop,
    Holds,
    Ignores,
    Parent,
    Refused,
    Runs,
    Swallows,
    Timed,
)
from tests.integration.control_table.stage import Stage, Subject

SLOW_MODULE = """
import time
from pathlib import Path
Path({gate!r} + ".here").touch()
while not Path({gate!r}).exists():
    time.sleep(0.01)
from tests.flows import Timed
class Slow(Timed):
    pass
"""


def until(handle: ProcessHandle, so: Callable[[ProcessRow], bool]) -> None:
    eventually(lambda: so(handle.row), what=f"the state of {handle}")


def paused(handle: ProcessHandle) -> Subject:
    handle.pause("a look", author="tester")
    until(handle, lambda row: row.paused)
    return Subject(handle)


def created(stage: Stage) -> Subject:
    return Subject(stage.insert("tests.flows:Sleeper", "nobody", rung=False))


def queued(stage: Stage) -> Subject:
    return Subject(stage.submit(flows.Sleeper, "nobody"))


def claimed(stage: Stage) -> Subject:
    gate = stage.gate()
    module = stage.location.folder / f"slow_{gate.name.replace('-', '_')}.py"
    module.write_text(SLOW_MODULE.format(gate=str(gate)))
    handle = stage.insert(f"{module.stem}:Slow", "default", rung=True)
    eventually(gate.with_name(f"{gate.name}.here").exists, what="the import")
    return Subject(handle, release=gate.touch, gate=gate)


def blocking(stage: Stage) -> Subject:
    return stage.held(stage.home, Blocks)


def stubborn(stage: Stage) -> Subject:
    return stage.held(stage.home, Ignores)


def swallowing(stage: Stage) -> Subject:
    return stage.held(stage.home, Swallows)


def loop_blocking(stage: Stage) -> Subject:
    return stage.held(stage.home, BlocksTheLoop)


def coroutine(stage: Stage) -> Subject:
    return stage.held(stage.home, Awaits)


def program(stage: Stage) -> Subject:
    return stage.held(stage.home, Runs)


def between(stage: Stage) -> Subject:
    handle = stage.submit(flows.Stepwise, steps=1_000_000, seconds=0.005)
    until(handle, lambda row: handle.workspace.store.checkpoint(row.pid) is not None)
    return Subject(handle)


def for_children(stage: Stage, queue: str) -> Subject:
    subject = stage.held(stage.home, Parent, queue)
    subject.release()
    until(subject.handle, lambda row: row.state is ProcessState.WAITING)
    return Subject(subject.handle)


def children_lingering(stage: Stage) -> Subject:
    return for_children(stage, "default")


def children_evicted(stage: Stage) -> Subject:
    return evicted(for_children(stage, "brief"))


def timer_lingering(stage: Stage) -> Subject:
    handle = stage.submit(flows.Timed, seconds=300)
    until(handle, lambda row: row.state is ProcessState.WAITING)
    return Subject(handle)


def timer_evicted(stage: Stage) -> Subject:
    return evicted(Subject(stage.submit(flows.Timed, "brief", seconds=300)))


def signal_lingering(stage: Stage) -> Subject:
    handle = stage.submit(flows.Approval)
    until(handle, lambda row: row.state is ProcessState.WAITING)
    return Subject(handle)


def signal_evicted(stage: Stage) -> Subject:
    return evicted(Subject(stage.submit(flows.Approval, "brief")))


def any_lingering(stage: Stage) -> Subject:
    handle = stage.submit(AnyOf)
    until(handle, lambda row: row.state is ProcessState.WAITING)
    return Subject(handle)


def any_evicted(stage: Stage) -> Subject:
    return evicted(Subject(stage.submit(AnyOf, "brief")))


def timeout_evicted(stage: Stage) -> Subject:
    return evicted(Subject(stage.submit(AtMost, "brief")))


def evicted(subject: Subject) -> Subject:
    until(subject.handle, lambda row: row.state is ProcessState.WAITING and row.owner is None)
    return subject


def limited(stage: Stage) -> Subject:
    stage.home.store.set_limit("nothing at all", slots=0).result()
    return Subject(submit(flows.Sleeper, limits=["nothing at all"], workspace=stage.home))


def paused_queued(stage: Stage) -> Subject:
    return paused(stage.submit(flows.Sleeper, "nobody"))


def paused_running(stage: Stage) -> Subject:
    return paused(between(stage).handle)


def paused_waiting(stage: Stage) -> Subject:
    return paused(timer_lingering(stage).handle)


def paused_tree(stage: Stage) -> Subject:
    parent = stage.held(stage.home, Parent)
    stage.home.store.control(Control.PAUSE, Selection(trees=[parent.handle.pid]), author="tester").result()
    parent.release()
    (child,) = eventually(lambda: stage.home.store.select(Selection(parent=parent.handle.pid)))
    assert child.paused
    return Subject(ProcessHandle(child.pid, stage.home))


def paused_program(stage: Stage) -> Subject:
    subject = program(stage)
    paused(subject.handle)
    return subject


def paused_blocking(stage: Stage) -> Subject:
    return paused_now(stage, Blocks)


def paused_coroutine(stage: Stage) -> Subject:
    return paused_now(stage, Awaits)


def paused_now(stage: Stage, flow: type[Holds]) -> Subject:
    subject = stage.held(stage.home, flow)
    subject.handle.pause("a look", now=True, author="tester").wait(30)
    return subject


def finished(stage: Stage) -> Subject:
    return ended(stage.submit(flows.add, x=1))


def failed(stage: Stage) -> Subject:
    return ended(stage.submit(repeat_flows.Part, n=0, mended="/nowhere"))


def excepted(stage: Stage) -> Subject:
    return ended(stage.submit(flows.Fails))


def killed(stage: Stage) -> Subject:
    handle = stage.submit(flows.Sleeper, "nobody")
    handle.kill("enough", author="tester")
    return ended(handle)


def ended(handle: ProcessHandle) -> Subject:
    handle.wait(60)
    return Subject(handle)


def unloadable(stage: Stage) -> Subject:
    handle = stage.insert("no_such_module:Gone", "default", rung=True)
    until(handle, lambda row: row.paused)
    return Subject(handle)


def timed(stage: Stage) -> Subject:
    return stage.held(stage.home, Timed)


def retry_lingering(stage: Stage) -> Subject:
    return failed_once(stage, "default")


def retry_evicted(stage: Stage) -> Subject:
    return evicted(failed_once(stage, "brief"))


def failed_once(stage: Stage, queue: str) -> Subject:
    handle = stage.submit(Refused, queue)
    until(handle, lambda row: row.state is ProcessState.WAITING and row.attempt == 1)
    return Subject(handle)


def paused_retry(stage: Stage) -> Subject:
    return paused(retry_evicted(stage).handle)


def paused_failed(stage: Stage) -> Subject:
    handle = submit(flows.Fails, on_failure="pause", workspace=stage.home)
    until(handle, lambda row: row.paused)
    return Subject(handle)
