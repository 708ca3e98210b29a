"""`isolation = "thread"`: functions in threads of one step host, for those who want shared memory."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from quince import ProcessState, Workspace, submit
from tests.crew import Crew, eventually
from tests.integration.thread_flows import Dies, InThreads, Lives

pytestmark = pytest.mark.parametrize("location", ["embedded"], indirect=True)


def test_functions_run_in_threads_of_one_host(home: Workspace, crew: Crew) -> None:
    (worker,) = crew.start()
    found = [handle.result(60) for handle in [submit(InThreads, workspace=home) for _ in range(3)]]
    assert all(one["thread"] for one in found)
    (place,) = {one["place"] for one in found} | {one["after"] for one in found}
    assert place in [one.pid for one in psutil.Process(worker.process.pid).children(recursive=True)]


def test_a_crash_takes_its_neighbours_along_and_is_told_of_the_right_one(
    home: Workspace, crew: Crew, tmp_path: Path
) -> None:
    crew.start()
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    dies, lives = (submit(cls, ledger=str(ledger), gate=str(gate), workspace=home) for cls in (Dies, Lives))
    eventually(lambda: ledger.exists() and {"dies", "lives"} <= set(ledger.read_text().split()))
    gate.touch()
    assert lives.wait(60).state is ProcessState.FINISHED
    assert ledger.read_text().split().count("lives") == 2, "it did not run beside the one that died"
    eventually(lambda: dies.row.deaths_alone > 0, what="a death that is its own")
    assert lives.row.deaths_alone == 0
