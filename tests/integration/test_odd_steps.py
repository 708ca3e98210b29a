"""Steps that do what nobody expects: their process ends with the story told, everything else goes on."""

from __future__ import annotations

import re

import pytest

from quince import ProcessExcepted, Workspace, run, submit
from quince.hosts.output_files import OutputFiles
from tests import flows
from tests.crew import Crew, eventually

ODDITIES = {
    "base_exception": r"BaseException\(the root of all\)",
    "generator_exit": r"GeneratorExit\(\)",
    "system_exit": r"SystemExit\(3\)",
    "speechless": r"Speechless.__str__ failed with RuntimeError",
    "surrogates": r"\\udc80\\x00",
    "surrogate_in_context": r"ctx\.odd\.deep\[0\]",
    "big_status": r"exit status 1180591620717411303424 is not between 0 and",
    "endless_sleep": r"sleep\(\): nan is no duration",
}


def test_every_oddity_ends_its_process_with_its_story(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=4)
    handles = {how: submit(flows.Does, how=how, workspace=home) for how in ODDITIES}
    for how, story in ODDITIES.items():
        with pytest.raises(ProcessExcepted, match=story):
            handles[how].result(30)
    assert submit(flows.add, x=1, workspace=home).result(30) == {"result": 2}


def test_run_tells_them_too(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted, match="the root of all"):
        run(flows.Does, how="base_exception", workspace=home)


def test_steps_that_fill_asyncios_threads_leave_the_engine_its_own(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=4)
    gate = home.location.folder / "gate"
    crowd = submit(flows.Crowd, gate=str(gate), workspace=home)
    eventually(gate.with_name("gate.crowded").exists, what="the crowd")
    assert submit(flows.Family, children=3, workspace=home).result(60) == {"total": 6}
    gate.touch()
    assert crowd.result(60) == {}


def test_what_a_step_prints_and_logs_can_be_read_while_it_runs(home: Workspace, crew: Crew) -> None:
    (worker,) = crew.start(1, slots=4)
    gate = home.location.folder / "gate"
    talker = submit(flows.Talker, gate=str(gate), workspace=home)
    output = OutputFiles(home.location.folder).of(talker.pid)
    eventually(lambda: output.exists() and "\nprinted by a step\n" in output.read_text(), what="print")
    line = rf".*, {talker.pid} Talker\] .*logged by a step"
    eventually(lambda: re.search(line, worker.log.read_text()), what="log")
    assert "printed by a step" not in worker.log.read_text()
    gate.touch()
    assert talker.result(30) == {}
