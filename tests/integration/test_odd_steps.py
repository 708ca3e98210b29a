"""Steps that do what nobody expects: their process ends with the story told, everything else goes on."""

from __future__ import annotations

import re

import pytest

from quince import ProcessExcepted, Workspace, run, submit, submit_many
from quince_persistence.records import SUSPECT
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
    "endless_sleep": r"sleep\(\) takes a number of seconds from 0 on, not nan",
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


@pytest.mark.timeout(180)
def test_a_poison_ends_alone(home: Workspace, crew: Crew) -> None:
    """A process that kills each worker that runs it is stopped; its neighbours are not given up for it,
    though they run as long as it does harm."""
    neighbours = submit_many(flows.Blocker, [{"gate": f"{home.location.folder}/gate"}] * 3, workspace=home)
    poison = submit(flows.Does, how="kill_worker", workspace=home)

    def staffed() -> bool:
        alive = [worker for worker in crew.workers if worker.process.poll() is None]
        if len(alive) < 2:
            crew.start(2 - len(alive), slots=8)
        return poison.terminated

    eventually(lambda: staffed() or poison.row.deaths >= SUSPECT, 60, "the first deaths")
    assert [handle.terminated for handle in neighbours] == [False] * 3
    (home.location.folder / "gate").touch()
    eventually(staffed, 90, "the end of the poison")
    with pytest.raises(ProcessExcepted, match="5 workers died while they held this process"):
        poison.result(1)
    for handle in neighbours:
        assert handle.result(60) == {}


def test_steps_that_fill_asyncios_threads_leave_the_engine_its_own(home: Workspace, crew: Crew) -> None:
    crew.start(1, slots=4)
    gate = home.location.folder / "gate"
    crowd = submit(flows.Crowd, gate=str(gate), workspace=home)
    eventually(gate.with_name("gate.crowded").exists, what="the crowd")
    assert submit(flows.Family, children=3, workspace=home).result(60) == {"total": 6}
    gate.touch()
    assert crowd.result(60) == {}


def test_what_a_step_prints_and_logs_is_in_the_log_while_it_runs(home: Workspace, crew: Crew) -> None:
    (worker,) = crew.start(1, slots=4)
    gate = home.location.folder / "gate"
    talker = submit(flows.Talker, gate=str(gate), workspace=home)
    for what in ("printed", "logged"):
        line = rf".*, {talker.pid} Talker\] .*{what} by a step"
        eventually(lambda line=line: re.search(line, worker.log.read_text()), what=what)  # type: ignore[misc]
    gate.touch()
    assert talker.result(30) == {}
