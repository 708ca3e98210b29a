"""The daemon stops and replaces its workers in the time that it is given, and says so when it has."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quince import ProcessExcepted, Workspace, submit, submit_many
from quince.cli.daemon import _what_runs
from quince.cli.tail import Tail, as_json
from quince.daemon import operations as daemon
from quince.daemon.files import DaemonFiles, Settings
from quince.daemon.orphans import Orphan
from quince.daemon.process_tree import ProcessTree, step_hosts_of
from quince.errors import DaemonError
from quince.hosts.output_files import OutputFiles
from quince.interpreter import STEP_HOST
from quince.settings import NO_CEILING
from quince.workspace.location import Location
from quince.workspace.workspace import make_store
from quince_persistence.records import Selection
from tests import flows
from tests.crew import ROOT, eventually

EMBEDDED = pytest.mark.parametrize("location", ["embedded"], indirect=True)


@pytest.fixture
def running(location: Location, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """A daemon of one worker whose steps get next to no time, if nobody says otherwise."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("QUINCE_CHECK", "0")
    make_store(location)
    daemon.start(location, Settings(workers=1, slots=4, grace=0.5))
    yield location
    daemon.stop(location, 0)


def family(location: Location) -> list[psutil.Process]:
    supervisor = psutil.Process(daemon.state(location).ospid)
    return [supervisor, *supervisor.children(recursive=True)]


def blocked(home: Workspace, name: str) -> Path:
    """The gate of a process that is in a step."""
    gate = home.location.folder / name
    submit(flows.Blocker, gate=str(gate), workspace=home)
    eventually(gate.with_name(f"{name}.blocked").exists, what="the step")
    return gate


def hosts_that_print(home: Workspace, pid: int) -> list[psutil.Process]:
    """The step hosts whose descriptor 1 leads to the file of a process."""
    file = OutputFiles(home.location.folder).of(pid)
    eventually(file.exists, what="output")
    programs = [one for one in psutil.process_iter() if one.name() == STEP_HOST]
    return [one for one in programs if OutputFiles(home.location.folder).host_prints_to(one.pid) == file]


def test_steps_get_the_time_that_was_granted(home: Workspace, running: Location) -> None:
    """More than the workers would have given by themselves; what is waited for is said; and nothing lives."""
    gate, members = blocked(home, "gate"), family(running)
    (worker,) = home.store.workers()
    talker = submit(flows.Talker, gate=str(gate), workspace=home)
    (host,) = hosts_that_print(home, talker.pid)
    failing = submit(flows.Fails, workspace=home)
    with pytest.raises(ProcessExcepted):
        failing.result(30)
    opener = threading.Timer(4.0, gate.touch)
    opener.start()
    said: list[str] = []
    assert step_hosts_of(worker.ospid) >= 2
    assert daemon.stop(running, 60, said.append)
    assert step_hosts_of(worker.ospid) == 0
    assert gate.exists(), "the step was cut off"
    (sentence,) = said
    assert f"worker-1 (process {members[1].pid}" in sentence
    assert sentence.count("worker-1") == 1, "its step hosts are not named"
    assert "steps that run have 60 s to end" in sentence
    assert home.store.owners() == {}
    assert not [row for row in home.store.select(Selection()) if not row.terminated]
    assert not [member for member in members if member.is_running() and member.status() != "zombie"]
    logs = [json.loads(line) for file in DaemonFiles(running.folder).logs() for line in shown(file)]
    facts = {line["message"]: line for line in logs}
    about = {"worker": worker.id, "queue": "default", "process": worker.ospid, "log": "worker-1"}
    told = {"pid": talker.pid, "class": "tests.flows:Talker", "step": "run", **about}
    told["process"] = host.pid
    assert {name: facts["logged by a step"][name] for name in told} == told
    assert OutputFiles(running.folder).last_lines(talker.pid, 9) == ["printed by a step"]
    assert "printed by a step" not in facts
    (excepted,) = (line for line in logs if "excepted" in line["message"])
    told = {
        "pid": failing.pid,
        "class": "tests.flows:Fails",
        "error": "ZeroDivisionError",
        "worker": worker.id,
    }
    assert {name: excepted[name] for name in told} == told
    assert facts["the daemon has stopped"]["log"] == "daemon"


def shown(file: Path) -> list[str]:
    """The log as `quince daemon logs --json` prints it."""
    return [text for line in Tail(file).fresh() for text in as_json(file, line)]


def test_what_is_not_done_in_time_is_left_and_nothing_lives(
    home: Workspace, running: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, members = blocked(home, "gate"), family(running)
    monkeypatch.setattr("quince.daemon.operations.LAST_SECONDS", 1.0)
    monkeypatch.setattr("quince.daemon.operations.HURRY_SECONDS", 1.0)
    members[0].suspend()  # the supervisor hears nothing
    with monkeypatch.context() as patch:
        patch.setattr(ProcessTree, "kill", lambda _self: None)  # as if nothing could end it
        with pytest.raises(DaemonError, match=f"has not stopped.*{members[0].pid}"):
            daemon.stop(running, 0)
    began = time.monotonic()
    assert daemon.stop(running, 0)
    assert time.monotonic() - began < 60
    assert not [member for member in members if member.is_running() and member.status() != "zombie"]
    assert not daemon.state(running).running
    assert not daemon.stop(running)
    gate.touch()


def test_restart_returns_when_all_are_replaced(home: Workspace, running: Location) -> None:
    gate = blocked(home, "gate")
    (before,) = home.store.workers()
    said: list[str] = []
    opener = threading.Timer(4.0, gate.touch)
    opener.start()
    daemon.restart(running, 60, said.append)
    assert gate.exists(), "the step was cut off"
    (after,) = home.store.workers()
    assert before.id != after.id
    assert [sentence for sentence in said if str(before.ospid) in sentence]
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


@EMBEDDED
def test_steps_get_as_long_as_they_need_if_that_is_said(home: Workspace, running: Location) -> None:
    """And who waits is told which: here by what the command line asks the store."""
    gate = blocked(home, "gate")
    (before,) = home.store.workers()
    said: list[str] = []
    threading.Timer(5.0, gate.touch).start()
    daemon.restart(running, NO_CEILING, said.append, lambda ospids: _what_runs(running, ospids))
    assert gate.exists(), "the step was cut off"
    (blocker,) = home.store.select(Selection())
    assert blocker.state == "finished"
    assert blocker.epoch == 1
    assert (
        f"waiting for process {before.ospid} of before: steps that run have as long as they need; there run "
        f"{blocker.pid} Blocker (run)"
    ) in said


@EMBEDDED
def test_steps_are_cut_off_in_the_time_that_is_said_and_nothing_is_parked(
    home: Workspace, running: Location
) -> None:
    """A function that sleeps, and chains in the middle: all go on in the new worker."""
    gate = blocked(home, "gate")
    own = {"ledger": str(gate.with_name("ledger"))}
    chains = submit_many(flows.Stepwise, [{"steps": 30, "seconds": 0.3, **own}] * 8, workspace=home)
    eventually(lambda: gate.with_name("ledger").exists())
    began = time.monotonic()
    daemon.restart(running, 0.5)
    assert time.monotonic() - began < 25
    rows = home.store.select(Selection())
    assert not [row for row in rows if row.paused or row.terminated]
    (blocker,) = (row for row in rows if row.class_path.endswith("Blocker"))
    eventually(lambda: _epoch(home, blocker.pid) == 2)
    gate.touch()
    assert not [chain for chain in chains if chain.row.paused]


def _epoch(home: Workspace, pid: int) -> int:
    row = home.store.get(pid)
    return 0 if row is None else row.epoch


def test_a_tree_of_processes_that_are_gone_is_empty() -> None:
    nobody = ProcessTree(None, [Orphan("worker-1", 2**22 + 1)])
    assert nobody.gone_within(0)
    assert str(nobody) == ""
