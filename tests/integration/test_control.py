"""Pause, play and kill: on whatever a process is at, with and without a daemon, from other programs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from quince import (
    ControlRefused,
    ProcessHandle,
    ProcessKilled,
    ProcessNotFound,
    ProcessState,
    WaitTimeout,
    Workspace,
    submit,
)
from quince.client.control import control
from quince.settings import CONFIG
from quince.workspace.location import Location
from quince_persistence.records import Control, Selection
from tests import flows
from tests.crew import Crew, environment, eventually
from tests.integration.stopping.flows import Blocks


def running(home: Workspace, tmp_path: Path) -> ProcessHandle:
    handle = submit(flows.Stepwise, steps=1000, seconds=0.05, workspace=home)
    eventually(lambda: handle.state is ProcessState.RUNNING)
    return handle


def waiting(home: Workspace, tmp_path: Path) -> ProcessHandle:
    handle = submit(flows.Family, children=1, seconds=1.0, workspace=home)
    eventually(lambda: handle.state is ProcessState.WAITING)
    return handle


def evicted(home: Workspace, tmp_path: Path) -> ProcessHandle:
    handle = submit(flows.Timed, seconds=6.0, workspace=home)
    eventually(lambda: handle.state is ProcessState.WAITING and handle.row.owner is None)
    return handle


def queued(home: Workspace, tmp_path: Path) -> ProcessHandle:
    return submit(flows.Stepwise, steps=2, seconds=0.01, queue="nobody", workspace=home)


def is_killed(handle: ProcessHandle) -> bool:
    return handle.state is ProcessState.KILLED


STATES = [running, waiting, evicted, queued]


@pytest.mark.parametrize("make", STATES)
def test_pause_and_play(
    make: Callable[[Workspace, Path], ProcessHandle], home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    handle = make(home, tmp_path)
    answer = handle.pause("a look", author="tester")
    assert answer.accepted
    assert answer.wait(10).applied
    row = handle.row
    assert row.paused
    assert row.owner is None
    before = row.updated
    time.sleep(0.2)
    assert handle.row.updated == before, "a paused process moved"
    assert handle.play().wait(10).applied
    assert not handle.paused
    controls = [event.body["verb"] for event in handle.history() if event.kind == "control"]
    assert controls == ["pause", "play"]
    if make is queued:
        crew.start(queues=("nobody",))
    if make is not running:
        handle.wait(30)
        assert handle.exit_status == 0


@pytest.mark.parametrize("make", STATES)
def test_kill(
    make: Callable[[Workspace, Path], ProcessHandle], home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    handle = make(home, tmp_path)
    assert handle.kill("enough").wait(10).applied
    with pytest.raises(ProcessKilled, match="enough"):
        handle.result(1)
    for child in home.store.select(Selection(parent=handle.pid)):
        eventually(partial(is_killed, ProcessHandle(child.pid, home)), 10, "the kill of a child")


@pytest.mark.parametrize("make", [waiting, evicted, queued])
def test_control_with_the_daemon_down(
    make: Callable[[Workspace, Path], ProcessHandle], home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start()
    handle = make(home, tmp_path)
    worker.stop()
    assert handle.pause().applied
    assert handle.paused
    assert handle.pause().applied, "asking twice does no harm"
    assert handle.play().applied
    assert not handle.row.paused
    assert handle.kill().applied
    assert handle.state is ProcessState.KILLED
    with pytest.raises(ControlRefused):
        handle.pause()


def test_a_paused_process_can_be_killed(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    handle = running(home, tmp_path)
    handle.pause().wait(10)
    assert handle.kill().applied


def stubborn(home: Workspace, folder: Path) -> ProcessHandle:
    """One that is in a step which swallows every attempt to end it."""
    notes = folder / "notes"
    handle = submit(Blocks, manner="swallow", notes=str(notes), workspace=home)
    eventually(notes.exists)  # one that is only owned may be dead before it is asked
    return handle


def test_a_blocking_step_is_killed_and_with_force_now(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start(slots=2)
    soft = submit(flows.Blocker, gate=str(tmp_path / "never"), workspace=home)
    eventually((tmp_path / "never.blocked").exists)
    hard = stubborn(home, tmp_path)
    answer = soft.kill()
    assert answer.accepted
    assert not answer.applied
    assert hard.kill(force=True).applied
    assert hard.state is ProcessState.KILLED
    assert answer.wait(10).applied
    assert submit(flows.add, x=1, workspace=home).result(20) == {"result": 2}, "their slots are free"


def test_what_is_asked_after_a_kill_says_that_the_kill_wins(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (tmp_path / CONFIG).write_text("kill_grace = 2")
    crew.start()
    handle = stubborn(home, tmp_path)
    handle.kill()
    for answer in (handle.pause("p"), handle.play()):
        assert (answer.accepted, answer.applied) == (True, False)
        assert "a kill before it, which wins" in answer.message
        with pytest.raises(WaitTimeout):
            answer.wait(0.05)
    assert handle.wait(30).state is ProcessState.KILLED


def test_a_coroutine_step_is_killed_at_once(home: Workspace, crew: Crew) -> None:
    crew.start()
    handle = submit(flows.Sleeper, seconds=600, workspace=home)
    eventually(lambda: handle.row.owner)
    assert handle.kill().wait(5).applied


def test_all_are_paused_played_and_killed(home: Workspace, crew: Crew) -> None:
    crew.start(2)
    handles = [submit(flows.Stepwise, steps=1000, seconds=0.05, workspace=home) for _ in range(6)]
    handles += [submit(flows.Timed, seconds=600, workspace=home) for _ in range(2)]
    eventually(lambda: all(h.state is not ProcessState.CREATED for h in handles))
    assert len(control(home, Control.PAUSE, Selection(live=True))) == 8
    eventually(lambda: all(h.paused and h.row.owner is None for h in handles), 10)
    control(home, Control.PLAY, Selection(live=True))
    eventually(lambda: not any(h.paused for h in handles), 10)
    eventually(lambda: sum(h.row.owner is not None for h in handles[:6]) == 6, 10)
    control(home, Control.KILL, Selection(live=True))
    eventually(lambda: all(h.state is ProcessState.KILLED for h in handles), 10)


def test_control_from_another_program(
    home: Workspace, crew: Crew, location: Location, tmp_path: Path
) -> None:
    crew.start()
    handle = running(home, tmp_path)

    def elsewhere(code: str) -> str:
        program = f"from quince import get_process\nhandle = get_process({handle.pid})\n{code}"
        return subprocess.run(
            [sys.executable, "-c", program], env=environment(location), cwd=location.folder, check=True,
            capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    assert elsewhere("print(handle.pause('x').wait(10).applied, handle.paused)") == "True True\n"
    assert handle.paused
    assert elsewhere("print(handle.play().wait(10).applied, handle.paused)") == "True False\n"
    assert elsewhere("print(handle.kill().wait(10).applied, handle.state.value)") == "True killed\n"


def test_who_is_not_there_is_told(home: Workspace) -> None:
    with pytest.raises(ProcessNotFound, match="12345"):
        ProcessHandle(12345, home).pause()


def test_a_parent_wakes_when_its_child_is_killed(home: Workspace, crew: Crew) -> None:
    crew.start()
    parent = submit(flows.Codes, workspace=home)
    parent.wait(30)
    handle = submit(flows.Family, children=1, seconds=0, workspace=home)
    handle.wait(30)
    slow = submit(flows.Family, children=2, seconds=30, workspace=home)
    eventually(lambda: len(home.store.select(Selection(parent=slow.pid))) == 2)
    for child in home.store.select(Selection(parent=slow.pid)):
        ProcessHandle(child.pid, home).kill(force=True)
    slow.wait(30)
    assert slow.state is ProcessState.EXCEPTED, "the sum of outputs that are not there"
