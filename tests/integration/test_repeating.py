"""Failing is not the end: what has failed is retried in place, or begun anew from one of its steps."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quince import (
    ControlRefused,
    InvalidInput,
    ProcessExcepted,
    ProcessHandle,
    ProcessState,
    Workspace,
    find,
    submit,
)
from quince.client.restart import beginnings
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince_persistence.records import Selection
from tests import flows
from tests.crew import ROOT, Crew, eventually
from tests.forked import ForkServer
from tests.integration import repeat_flows
from tests.integration.commands import Quince


class Files:
    """A ledger, and a file that is there when what is broken is mended."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self.mended = folder / "ledger", folder / "mended"
        self.names = {"ledger": str(self.ledger), "mended": str(self.mended)}

    def lines(self) -> Counter[str]:
        return Counter(self.ledger.read_text().splitlines())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def failed(home: Workspace, flow: Any, **inputs: Any) -> ProcessHandle:
    handle = submit(flow, workspace=home, **inputs)
    with pytest.raises(ProcessExcepted):
        handle.result(30)
    return handle


def test_only_what_failed_and_what_depends_on_it_runs_again(
    home: Workspace, crew: Crew, files: Files
) -> None:
    crew.start()
    handle = failed(home, repeat_flows.Sum, broken=[1, 2], **files.names)
    assert "quince retry" in handle.why().evidence[-1]
    files.mended.touch()
    answer = handle.retry("the net is back", author="ada")
    assert (answer.accepted, answer.applied) == (True, True)
    assert "then goes on from step collect" in answer.message
    assert handle.result(30) == {"total": 3}
    assert files.lines() == {"prepare": 1, "collect": 2, "part 0": 1, "part 1": 2, "part 2": 2}
    (event,) = [event for event in handle.history() if event.kind == "retry"]
    assert (event.author, event.body["reason"]) == ("ada", "the net is back")
    assert "have failed" in event.body["traceback"]
    with pytest.raises(ControlRefused, match="ended well"):
        handle.retry()


def test_inputs_are_corrected_and_checked(home: Workspace, crew: Crew, files: Files) -> None:
    crew.start()
    handle = failed(home, repeat_flows.Sum, factor=-1, **files.names)
    with pytest.raises(InvalidInput, match="factor"):
        handle.retry(factor="many")
    with pytest.raises(InvalidInput, match="no input 'fact'"):
        handle.retry(fact=1)
    assert handle.state is ProcessState.EXCEPTED
    handle.retry(factor=10)
    assert handle.result(30) == {"total": 30}
    assert handle.inputs["factor"] == 10
    assert files.lines()["part 0"] == 1


def test_what_was_put_aside_goes_on_with_other_inputs(home: Workspace, crew: Crew, files: Files) -> None:
    crew.start()
    inputs = {"factor": -1, **files.names}
    handle = submit(repeat_flows.Sum, inputs=inputs, on_failure="pause", workspace=home)
    eventually(lambda: handle.paused)
    assert f"quince retry {handle.pid}" in str(handle.why())
    handle.retry(factor=2)
    assert handle.result(30) == {"total": 6}


def test_signals_and_once_results_are_what_they_were(home: Workspace, crew: Crew, files: Files) -> None:
    crew.start()
    handle = submit(repeat_flows.Decides, inputs=files.names, workspace=home)
    handle.signal("answer", "yes")
    with pytest.raises(ProcessExcepted, match="no file"):
        handle.result(30)
    handle.retry()
    with pytest.raises(ProcessExcepted, match="no file"):
        handle.result(30)
    files.mended.touch()
    handle.retry()
    assert handle.result(30) == {"answer": "yes"}
    assert files.lines() == {"paid": 1, "act yes": 3}


def test_a_step_that_was_killed_by_force_and_goes_on_where_it_stands(home: Workspace, crew: Crew) -> None:
    crew.start()
    handle = submit(flows.Sleeper, seconds=600, workspace=home)
    eventually(lambda: handle.state is ProcessState.RUNNING)
    handle.kill("by mistake", force=True)
    handle.retry(seconds=0.1)
    assert handle.wait(30).exit_status == 0


def test_a_new_process_shares_what_is_done_and_makes_anew_what_failed(
    home: Workspace, crew: Crew, files: Files
) -> None:
    crew.start()
    handle = failed(home, repeat_flows.Sum, broken=[1], **files.names)
    files.mended.touch()
    new = handle.restart(factor=5)
    assert new.result(30) == {"total": 15}
    assert new.row.options.restart_of == handle.pid
    assert files.lines() == {"prepare": 1, "collect": 2, "part 0": 1, "part 1": 2, "part 2": 1}
    (child,) = home.store.select(Selection(parent=new.pid))
    assert child.options.restart_of is not None
    assert handle.state is ProcessState.EXCEPTED
    assert handle.inputs["factor"] == 1
    with pytest.raises(
        ControlRefused, match=r"no checkpoint before a step 'launch' \(it has one before collect"
    ):
        handle.restart("launch")
    with pytest.raises(ControlRefused, match="no checkpoint before a step 3"):
        handle.restart(3)  # type: ignore[arg-type]
    handle.restart("prepare", parts=1).result(30)
    assert files.lines()["prepare"] == 2


def test_from_any_step_of_any_turn_with_all_checkpoints_kept(
    home: Workspace, crew: Crew, files: Files
) -> None:
    crew.start()
    inputs = {"turns": 3, "ledger": str(files.ledger)}
    handle = submit(repeat_flows.Turns, inputs=inputs, workspace=home)
    assert handle.result(30) == {"n": 3}
    names = [name for name, _ in beginnings(home.store, handle.pid)]
    assert names == ["begin", "turn#1", "check#1", "turn#2", "check#2", "turn#3", "check#3", "end"]
    files.ledger.unlink()
    second = handle.restart("turn#2", step=10)
    assert second.result(30) == {"n": 21}
    assert files.lines() == {"turn 1": 1, "turn 2": 1, "end": 1}
    files.ledger.unlink()
    assert handle.restart("turn").result(30) == {"n": 3}
    assert files.lines() == {"turn 2": 1, "end": 1}
    assert second.restart("turn#1", turns=2).result(30) == {"n": 11}, "it has those that it ran itself"
    assert handle.restart(turns=1).result(30) == {"n": 1}, "from its beginning"
    with pytest.raises(ControlRefused, match="turn#4"):
        handle.restart("turn#4")


def test_a_copy_of_one_that_lives_goes_on_by_itself(home: Workspace, crew: Crew, files: Files) -> None:
    crew.start()
    files.mended.touch()
    handle = submit(repeat_flows.Decides, inputs=files.names, workspace=home)
    eventually(lambda: handle.state is ProcessState.WAITING)
    new = handle.restart()
    assert new.state is ProcessState.WAITING
    new.signal("answer", "no")
    assert new.result(30) == {"answer": "no"}
    assert handle.state is ProcessState.WAITING
    handle.kill()


def test_the_command_line_says_the_same(
    home: Workspace, crew: Crew, files: Files, forks: ForkServer, tmp_path: Path
) -> None:
    crew.start()
    (tmp_path / "tests").symlink_to(ROOT / "tests")  # where the commands find the classes
    places = {STORE_VARIABLE: home.location.store, BROKER_VARIABLE: home.location.broker}
    quince = partial(Quince(tmp_path, forks), **places)
    handle = failed(home, repeat_flows.Sum, broken=[1], **files.names)
    pid, (part,) = str(handle.pid), [one.pid for one in find(state="excepted", cls="Part", workspace=home)]
    assert f"quince retry {pid}` goes on from step collect" in quince("why", pid).out
    wrong = quince("retry", pid, "factor=many")
    assert (wrong.status, "factor" in wrong.err) == (1, True)
    assert quince("retry", "factor=1").status == 2
    child = quince("retry", str(part))
    assert f"its parent {pid} has ended (excepted) and stays so: `quince retry {pid}`" in child.out
    files.mended.touch()
    eventually(lambda: ProcessHandle(part, home).terminated)
    done = quince("retry", pid, "factor=2", "--reason", "mended")
    assert f"{pid} waits for {part}; then goes on from step collect" in done.out or "goes on" in done.out
    assert handle.result(30) == {"total": 6}
    assert "ended well" in quince("retry", pid).err
    assert "retry by" in quince("logs", pid).out
    shown = quince("show", pid)
    assert "retried" in shown.out
    new = quince("restart", pid, "factor=3", "--wait", "--json")
    assert new.document["outputs"] == {"total": 9}
    assert f"restart of  {pid}" in quince("show", str(new.document["pid"])).out
    assert quince("show", "--json", str(new.document["pid"])).document["restart_of"] == handle.pid
    assert "no checkpoint before a step 'nowhere'" in quince("restart", pid, "--from", "nowhere").err
    failed(home, flows.Fails)
    assert "Fails" in quince("ps", "--failed").out
    assert "goes on" in quince("retry", "--failed", "--class", "Fails").out + "goes on"
