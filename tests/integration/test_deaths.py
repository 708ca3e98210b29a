"""Step hosts that die, or are held up: that is told of the right process, and costs no other one anything."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psutil
import pytest

from quince import ProcessExcepted, ProcessHandle, Workspace, submit, submit_many
from quince_persistence.records import MAX_DEATHS
from tests import flows
from tests.crew import Crew, eventually
from tests.integration import death_flows

STORIES = {
    "crash": r"its step host was ended by SIGSEGV \(segmentation fault\), in step run, 5 times in a",
    "abort": r"its step host was ended by SIGABRT \(aborted, by itself or by a library\)",
    "kill": r"its step host was ended by SIGKILL \(killed from outside, or by itself\)",
    "overflow": r"its stack is full|RecursionError",  # newer interpreters see it coming
    "exit": r"its step host exited with status 3, as `os._exit\(3\)` does",
    "become another": r"its step host became another program \(.*\), which exited with status 0, in step run",
    "close all": "its step host was killed: its link to the worker is cut or garbled",
    "system exit": r"StepExited: a step of Dies ended with SystemExit\(4\)",
    "no memory": "MemoryError",
    "kill the template": "PermissionError: a step may send no signal to",
    "kill all": "PermissionError: a step may send no signal to -1",
}


def deaths(handle: ProcessHandle) -> list[dict[str, object]]:
    return [dict(event.body) for event in handle.history() if event.kind == "death"]


def test_each_death_is_told_by_its_name_and_ends_its_own_process(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start(1, slots=20)
    gate = tmp_path / "gate"
    neighbour = submit(flows.Blocker, gate=str(gate), workspace=home)
    handles = {way: submit(death_flows.Dies, way=way, workspace=home) for way in STORIES}
    ended = {}
    for way, story in STORIES.items():
        with pytest.raises(ProcessExcepted, match=story) as caught:
            handles[way].result(60)
        ended[way] = caught.value
    assert worker.process.poll() is None
    gate.touch()
    assert neighbour.result(30) == {}
    assert deaths(neighbour) == []
    crash = ended["crash"]
    assert crash.type_name == "quince.errors.StepHostDied"
    assert "death_flows.py" in crash.traceback
    assert "stepper.py" not in crash.traceback
    told = deaths(handles["crash"])
    assert len(told) == MAX_DEATHS
    assert told[0]["text"] == "its step host was ended by SIGSEGV (segmentation fault), in step run"
    assert "in string_at" in str(told[0]["stderr"])
    assert str(deaths(handles["abort"])[-1]["stderr"]).endswith("\n| about to die\n| free(): invalid pointer")
    assert [deaths(handles[way]) for way in ("system exit", "no memory", "kill the template")] == [[]] * 3
    row = handles["crash"].row
    assert (row.deaths, row.deaths_alone) == (MAX_DEATHS, MAX_DEATHS)
    assert handles["crash"].why().evidence[-1].endswith(str(told[-1]["text"]))


def test_a_coroutine_that_dies_is_told_from_those_that_shared_its_host(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start(1, slots=20)
    submit(death_flows.Neighbour, gate=str(tmp_path), workspace=home).result(30)  # its class is known
    gate = tmp_path / "gate"
    neighbours = submit_many(death_flows.Neighbour, [{"gate": str(gate)}] * 3, workspace=home)
    eventually(lambda: len(list(tmp_path.glob("gate.*"))) == 3, what="the neighbours")
    dies = submit(death_flows.DiesInCoroutine, way="exit", workspace=home)
    with pytest.raises(ProcessExcepted, match=r"exited with status 3.*, in step die, 5 times in a row"):
        dies.result(60)
    gate.touch()
    for neighbour in neighbours:
        neighbour.result(30)
        row = neighbour.row
        assert (row.deaths, row.deaths_alone, row.epoch) == (0, 0, 1), "the same claim, and no blame"
        told = deaths(neighbour)
        assert len(told) <= 1, "who has died is alone from then on"
        assert all("it was not to blame, and its step is run again" in str(one["text"]) for one in told)
    assert any(map(deaths, neighbours))


def test_what_kills_a_host_beside_its_code_is_found_and_stopped(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    """A thread that crashes while its coroutine waits for it; a task that wants to end the program."""
    crew.start(1, slots=20)
    gate = tmp_path / "gate"
    neighbours = submit_many(death_flows.Neighbour, [{"gate": str(gate)}] * 3, workspace=home)
    crashes = submit(death_flows.CrashesInThread, workspace=home)
    exits = submit(death_flows.ExitsInTask, workspace=home)
    with pytest.raises(ProcessExcepted, match=r"SIGSEGV \(segmentation fault\), in step crash, 5 times"):
        crashes.result(60)
    with pytest.raises(ProcessExcepted, match=r"SystemExit\(4\)"):
        exits.result(30)
    gate.touch()
    for neighbour in neighbours:
        neighbour.result(30)
        assert (neighbour.row.deaths_alone, len(deaths(neighbour)) <= 2) == (0, True)


def test_a_loop_that_a_coroutine_has_broken_gets_nothing_more(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start(1, slots=20)
    gate = tmp_path / "gate"
    gate.touch()
    submit(death_flows.Neighbour, gate=str(gate), workspace=home).result(30)  # its class is known
    breaks = submit(death_flows.BreaksItsLoop, workspace=home)
    eventually(lambda: "its event loop does not go on" in breaks.why().sentence, what="the word for it")
    submit(death_flows.Neighbour, gate=str(gate), workspace=home).result(30)
    assert breaks.kill().wait(30).applied


def test_a_worker_whose_template_dies_ends_with_a_reason_and_loses_nothing(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start(1)
    gate = tmp_path / "gate"
    handle = submit(flows.Blocker, gate=str(gate), workspace=home)
    eventually(gate.with_name("gate.blocked").exists, what="the step")
    (template,) = psutil.Process(worker.process.pid).children()
    template.kill()
    assert worker.process.wait(20) == os.EX_SOFTWARE
    assert "test-worker-1 ends: the template of its step hosts" in worker.log.read_text()
    assert (handle.row.owner, handle.row.ready, handle.row.deaths_alone) == (None, True, 0)
    crew.start(1)
    gate.touch()
    assert handle.result(30) == {}


def test_while_no_host_can_be_made_processes_wait_and_say_so(home: Workspace, crew: Crew) -> None:
    (worker,) = crew.start(1)
    (template,) = psutil.Process(worker.process.pid).children()
    before = resource.prlimit(template.pid, resource.RLIMIT_AS)
    resource.prlimit(template.pid, resource.RLIMIT_AS, (1 << 20, before[1]))
    handle = submit(flows.add, x=1, workspace=home)
    eventually(
        lambda: "no step host lives until it begins the step" in handle.why().sentence, 20, "the reason"
    )
    assert "tries again" in handle.why().sentence
    resource.prlimit(template.pid, resource.RLIMIT_AS, before)
    assert handle.result(30) == {"result": 2}
    assert deaths(handle) == []


def test_a_coroutine_that_holds_up_its_host_is_named_and_the_others_move_on(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    (worker,) = crew.start(1)
    for cls, inputs in (
        (death_flows.Neighbour, {"gate": str(tmp_path)}),
        (death_flows.HoldsUp, {"seconds": 0.0}),
    ):
        submit(cls, **inputs, workspace=home).result(30)  # their classes are known
    gate = tmp_path / "gate"
    neighbour = submit(death_flows.Neighbour, gate=str(gate), workspace=home)
    eventually(gate.with_name(f"gate.{neighbour.pid}").exists, what="the neighbour")
    holds = submit(death_flows.HoldsUp, seconds=6.0, workspace=home)
    said = rf"its step host is blocked for \d s by process {holds.pid} (HoldsUp), in death_flows.py, line"
    for handle in (holds, neighbour):
        sentence = eventually(lambda handle=handle: _says(handle, "its step host is blocked"), what=said)  # type: ignore[misc]
        assert f"by process {holds.pid} (HoldsUp), in death_flows.py, line " in sentence
        assert sentence.endswith("`await asyncio.to_thread(...)`")
    gate.touch()
    hosts = holds.result(30)["hosts"]
    others = neighbour.result(30)["hosts"]
    assert hosts[1] == others[1] != others[2], "it has moved on"
    assert hosts[1] != hosts[2], "who has held it up has a host to itself"
    (told,) = [dict(event.body) for event in holds.history() if event.kind == "blocked"]
    assert "more than 1 s, in death_flows.py, line " in str(told["text"])
    assert f"process {holds.pid}: it has held up the event loop" in worker.log.read_text()
    assert not [event for event in neighbour.history() if event.kind == "blocked"]
    assert deaths(neighbour) == []
    eventually(lambda: not home.store.workers()[0].troubles, what="the end of the trouble")


def _says(handle: ProcessHandle, words: str) -> str:
    sentence = handle.why().sentence
    return sentence if words in sentence else ""
