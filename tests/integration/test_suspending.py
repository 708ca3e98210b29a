"""A pause of a step that runs an external program which may be suspended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from quince import ProcessHandle, ProcessState, Workspace, submit
from quince_persistence.records import Control, Selection
from tests.crew import Crew, eventually
from tests.integration.control_table.flows import Runs


def begun(home: Workspace, gate: Path) -> tuple[ProcessHandle, int]:
    """A process whose program runs, and the program's pid."""
    handle = submit(Runs, gate=str(gate), workspace=home)
    here = gate.with_name(f"{gate.name}.here")
    return handle, int(eventually(lambda: here.exists() and here.read_text().strip()))


def condition(ospid: int) -> str:
    """`T`: stopped, `S`: sleeping, ...; nothing once it has ended."""
    try:
        return Path(f"/proc/{ospid}/stat").read_text().rpartition(")")[2].split()[0].strip("Z")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_pause_stops_the_program_and_a_play_continues_it(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    gate = tmp_path / "gate"
    handle, program = begun(home, gate)
    for _ in range(2):
        assert handle.pause("a look", author="ada").wait(30).applied
        eventually(lambda: condition(program) == "T", what="the stop")
        assert handle.row.owner, "its worker keeps it"
        assert "ada paused it" in handle.why().sentence
        assert handle.play().applied
        eventually(lambda: condition(program) not in ("T", ""), what="the continuation")
    gate.touch()
    assert handle.wait(30).state is ProcessState.FINISHED
    assert condition(program) == ""


def test_a_suspended_program_is_killed_with_its_process(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    crew.start()
    for force in (False, True):
        handle, program = begun(home, tmp_path / f"gate-{force}")
        handle.pause().wait(30)
        assert handle.kill(force=force).wait(30).applied
        eventually(lambda p=program: condition(p) == "", what="its end")  # type: ignore[misc]


def test_a_play_whose_message_is_lost_is_applied(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    """It is written into the store, and nobody tells the worker."""
    crew.start()
    handle, program = begun(home, tmp_path / "gate")
    handle.pause().wait(30)
    home.store.control(Control.PLAY, Selection(pids=[handle.pid]), author="tester").result()
    eventually(lambda: condition(program) not in ("T", ""), what="the continuation")
    (tmp_path / "gate").touch()
    assert handle.wait(30).state is ProcessState.FINISHED


def test_a_program_that_ends_while_its_process_is_paused_ends_the_step(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    gate = tmp_path / "gate"
    handle, program = begun(home, gate)
    handle.pause().wait(30)
    gate.touch()
    os.killpg(program, signal.SIGCONT)
    eventually(lambda: handle.row.owner is None, what="the end of the step")
    assert handle.paused
    assert handle.row.step == "end"
    handle.play()
    assert handle.wait(30).state is ProcessState.FINISHED


def test_a_worker_that_stops_ends_a_suspended_program(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    (worker,) = crew.start()
    gate = tmp_path / "gate"
    handle, program = begun(home, gate)
    handle.pause().wait(30)
    assert worker.stop() == 0
    assert condition(program) == ""
    assert handle.paused
    assert handle.row.owner is None
    crew.start()
    gate.touch()
    handle.play()
    assert handle.wait(30).state is ProcessState.FINISHED
