"""Processes on real workers: they finish, survive the workers' deaths, and hold no slot while waiting."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from quince import (
    ProcessExcepted,
    ProcessFailed,
    ProcessState,
    Workspace,
    WorkspaceError,
    get_process,
    run,
    submit,
    submit_many,
)
from quince.daemon import operations as daemon
from quince.daemon.files import Settings
from quince.errors import ProcessHeld
from quince.workspace.location import Location, locate
from quince_persistence.codec import decode
from quince_persistence.records import Selection
from tests import flows
from tests.crew import Crew, environment, eventually


def test_a_chain_with_children_finishes(home: Workspace, crew: Crew) -> None:
    crew.start(2)
    handle = submit(flows.Family, children=5, workspace=home)
    assert handle.result(30) == {"total": 20}
    assert handle.state is ProcessState.FINISHED
    children = home.store.select(Selection(parent=handle.pid))
    assert len(children) == 5
    assert all(child.root == handle.pid for child in children)


def test_run_needs_no_daemon(home: Workspace) -> None:
    assert run(flows.Family, children=4, workspace=home) == {"total": 12}
    assert run(flows.add, x=2, y=3, workspace=home) == {"result": 5}
    assert home.store.workers() == []


def test_what_is_submitted_without_a_daemon_runs_when_it_comes(home: Workspace, crew: Crew) -> None:
    handle = submit(flows.ThreeSteps, x=4, workspace=home)
    assert handle.state is ProcessState.CREATED
    crew.start()
    assert handle.result(30) == {"x": 10}


def test_outlines_take_their_branches(home: Workspace, crew: Crew) -> None:
    crew.start()
    assert submit(flows.Branching, n=3, workspace=home).result(30) == {"trail": ["1 odd", "2 even", "3 odd"]}
    with pytest.raises(ProcessFailed, match="n must not be negative") as caught:
        submit(flows.Branching, n=-1, workspace=home).result(30)
    assert caught.value.exit_status == 410


def test_an_exception_ends_its_process_and_nothing_else(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=2)
    failing = submit(flows.Fails, workspace=home)
    with pytest.raises(ProcessExcepted) as caught:
        failing.result(30)
    assert caught.value.type_name == "ZeroDivisionError"
    assert "as asked" in caught.value.traceback
    assert "flows.py" in caught.value.traceback
    with pytest.raises(ProcessFailed, match=r"child .* ended as excepted"):
        submit(flows.Codes, workspace=home).result(30)
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


def test_a_value_that_cannot_be_saved_ends_its_process_with_its_name(home: Workspace, crew: Crew) -> None:
    crew.start()
    with pytest.raises(ProcessExcepted) as caught:
        submit(flows.Unsaveable, workspace=home).result(30)
    assert "ctx" in caught.value.text
    assert "box" in caught.value.text
    assert "object" in caught.value.text


def test_a_missing_output_is_an_exit_status(home: Workspace, crew: Crew) -> None:
    crew.start()
    with pytest.raises(ProcessFailed, match="output 'x'") as caught:
        submit(flows.Forgetful, workspace=home).result(30)
    assert caught.value.exit_status == 11


def test_a_timer_wakes_its_process(home: Workspace, crew: Crew) -> None:
    crew.start()
    brief, long = submit_many(flows.Timed, [{"seconds": 0.2}, {"seconds": 3.0}], workspace=home)
    assert 0.2 <= brief.result(30)["waited"] < 3
    assert 3.0 <= long.result(30)["waited"] < 10


def test_a_key_is_taken_once(home: Workspace) -> None:
    first = submit(flows.add, key="once", x=1, workspace=home)
    second = submit(flows.add, key="once", x=2, workspace=home)
    assert first.pid == second.pid
    assert get_process("once", workspace=home).inputs == {"x": 1, "y": 1}


def test_waiting_parents_hold_no_slot(home: Workspace, crew: Crew) -> None:
    """200 parents with 5 children each, on 10 slots in all."""
    crew.start(2, slots=5)
    handles = submit_many(flows.Family, [{"children": 5}] * 200, workspace=home)
    assert [handle.result(90)["total"] for handle in handles] == [20] * 200
    assert {s: n for s, n in home.store.counts().items() if n} == {ProcessState.FINISHED: 1200}


def test_a_process_is_finished_by_another_worker_than_began_it(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    (first,) = crew.start()
    handle = submit(flows.Stepwise, steps=6, seconds=0.2, ledger=str(ledger), workspace=home)
    eventually(lambda: ledger.exists() and "end" in ledger.read_text())
    assert first.stop() == 0
    assert handle.state is ProcessState.RUNNING
    assert handle.row.owner is None
    crew.start()
    assert handle.result(30) == {"done": list(range(6))}
    assert max(Counter(ledger.read_text().splitlines()).values()) == 1


def test_a_killed_worker_costs_at_most_the_running_step(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    victim, _ = crew.start(2, slots=8)
    handles = submit_many(
        flows.Stepwise, [{"steps": 8, "seconds": 0.1, "ledger": str(ledger)}] * 12, workspace=home
    )
    eventually(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > 40)
    victim.freeze()  # nobody takes over what it holds before that is read
    committed = {
        (claim.row.pid, number)
        for claim in home.store.live()
        if claim.checkpoint and (claim.row.owner or "::").split(":")[-2] == str(victim.process.pid)
        for number in decode(claim.checkpoint)["ctx"].get("done", [])
    }
    victim.kill()
    mark = len(ledger.read_text().splitlines())
    assert committed, "the victim had committed nothing: this test would show nothing"
    for handle in handles:
        assert handle.result(60) == {"done": list(range(8))}
    again = {
        tuple(map(int, line.split()[1:]))
        for line in ledger.read_text().splitlines()[mark:]
        if "start" in line
    }
    assert not committed & again


def test_children_exist_once_when_a_worker_is_killed(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    victim, _ = crew.start(2, slots=4)
    parents = submit_many(
        flows.Family, [{"children": 4, "seconds": 0.1, "ledger": str(ledger)}] * 15, workspace=home
    )
    eventually(lambda: ledger.exists() and ledger.read_text().count("double") > 5)
    victim.kill()
    for parent in parents:
        assert parent.result(60) == {"total": 12}
        assert len(home.store.select(Selection(parent=parent.pid))) == 4
    assert {s: n for s, n in home.store.counts().items() if n} == {ProcessState.FINISHED: 75}


def test_work_goes_on_elsewhere_soon_after_a_kill(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    victim, _ = crew.start(2, slots=1)
    gate = tmp_path / "gate"
    handles = submit_many(flows.Blocker, [{"gate": str(gate)}] * 2, workspace=home)
    eventually(lambda: all(handle.row.owner for handle in handles))
    orphan = next(h for h in handles if str(victim.process.pid) == (h.row.owner or "").split(":")[-2])
    victim.kill()
    eventually(lambda: orphan.row.owner is None, 5, "the release of the dead worker's process")
    gate.touch()
    for handle in handles:
        assert handle.result(30) == {}


def test_a_second_signal_leaves_at_once(home: Workspace, crew: Crew, tmp_path: Path) -> None:
    (worker,) = crew.start()
    gate = tmp_path / "gate"
    handle = submit(flows.Blocker, gate=str(gate), workspace=home)
    eventually(gate.with_name("gate.blocked").exists, what="the step")
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert worker.process.poll() is None, "the running step was not given its time"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0
    assert handle.row.owner is None
    gate.touch()
    crew.start()
    assert handle.result(30) == {}


def test_an_unloadable_class_is_paused_with_the_reason_and_can_go_on(
    home: Workspace, crew: Crew, location: Location
) -> None:
    """Nothing is lost by a deployment that forgot a module."""
    module = location.folder / "quince_moved_module.py"
    module.write_text("from quince import process\n@process\ndef job() -> int:\n    return 7\n")
    cls = home.registry.load("quince_moved_module:job")
    module.rename(module.with_suffix(".away"))
    crew.start()
    handle = submit(cls, workspace=home)
    eventually(lambda: handle.paused)
    assert "quince_moved_module" in (handle.row.status or "")
    module.with_suffix(".away").rename(module)
    handle.play()
    assert handle.result(30) == {"result": 7}


def test_locate_reads_the_settings_of_a_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUINCE_STORE", raising=False)
    monkeypatch.delenv("QUINCE_BROKER", raising=False)
    (tmp_path / "quince.toml").write_text('store = "sqlite:////tmp/x.db"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    location = locate()
    assert location.folder == tmp_path
    assert location.store == "sqlite:////tmp/x.db"
    (tmp_path / "quince.toml").write_text("stor = 1\n")
    with pytest.raises(WorkspaceError, match="'stor'"):
        locate()


def test_what_a_killed_run_left_is_finished_by_the_daemon(
    home: Workspace, crew: Crew, location: Location
) -> None:
    program = "from quince import run\nfrom tests.flows import Family\nrun(Family, children=3, seconds=1.5)\n"
    victim = subprocess.Popen([sys.executable, "-c", program], env=environment(location), cwd=location.folder)
    (parent,) = eventually(
        lambda: home.store.select(Selection(classes=["Family"], states=[ProcessState.WAITING]))
    )
    victim.kill()
    victim.wait()
    crew.start()
    handle = get_process(parent.pid, workspace=home)
    assert handle.result(30) == {"total": 6}
    assert len(home.store.select(Selection(parent=handle.pid))) == 3


async def test_a_coroutine_awaits_many_handles_at_once(home: Workspace, crew: Crew) -> None:
    """More than there are threads to wait in, the one that ends last awaited first."""
    crew.start()
    late, *early = submit_many(
        flows.slow_add, [{"x": 0, "seconds": 2.0}, *({"x": x} for x in range(60))], workspace=home
    )
    results = await asyncio.wait_for(asyncio.gather(late, *early), 60)
    assert [result["result"] for result in results] == [1, *(x + 1 for x in range(60))]
    answer = await submit(flows.Sleeper, workspace=home).kill()
    assert answer.applied


def test_an_error_of_the_engine_itself_keeps_nobody_waiting(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken on purpose: what the engine cannot go on with is paused, told, and can be played again."""
    with monkeypatch.context() as patch:
        patch.setattr("quince.processes.checkpoint.encode", None)  # called by ours: no frame of a user's
        with pytest.raises(ProcessHeld, match=r"held: TypeError: 'NoneType' object is not callable"):
            run(flows.ThreeSteps, workspace=home)
    (row,) = home.store.select(Selection(classes=["ThreeSteps"]))
    assert row.paused
    assert row.owner is None


@pytest.mark.parametrize(
    ("store", "broker", "what"),
    [("sqlite://", None, "store sqlite://"), (None, "memory://x", "broker memory://x")],
)
def test_nothing_is_submitted_where_no_worker_could_see_it(
    tmp_path: Path, store: str | None, broker: str | None, what: str
) -> None:
    with Workspace(locate(tmp_path, store=store, broker=broker)) as alone:
        with pytest.raises(WorkspaceError, match=what):
            submit(flows.add, x=1, workspace=alone)
        with pytest.raises(WorkspaceError, match=what):
            daemon.start(alone.location, Settings())
        with pytest.raises(WorkspaceError, match=what):
            run(flows.add, x=1, workspace=alone)
