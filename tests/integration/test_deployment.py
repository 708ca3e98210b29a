"""A new version of the code meets processes of the old one: paused with the reason, or migrated."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from quince import ProcessHandle, ProcessState, Workspace, submit
from quince.workspace.location import Location
from tests.crew import Crew, environment, eventually

MODULE = """
from quince import WorkChain, signal_

class Job(WorkChain):
    version = {version!r}

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output("count", valid_type=int)
        spec.outline({outline})

    def begin(self):
        self.ctx.n = 4
        self.to_context(go=signal_("go"))

    def extra(self):
        raise AssertionError("the wrong step ran")

    def end(self):
        self.out("count", self.ctx.n)
{hook}
"""
HOOK = """
    @classmethod
    def migrate(cls, memory, version):
        assert version == "1"
        memory["ctx"]["n"] *= 10
        memory["position"] = [2]
        return memory
"""
OLD, NEW = "cls.begin, cls.end", "cls.begin, cls.extra, cls.end"


def deploy(location: Location, version: str, outline: str, hook: str = "") -> None:
    """Write the module. (The comment makes no two versions equally long, as bytecode caches want it.)"""
    text = MODULE.format(version=version, outline=outline, hook=hook)
    (location.folder / "deployed_job.py").write_text(f"# {len(text)}\n{text}")


@pytest.fixture
def waiting(home: Workspace, crew: Crew, location: Location) -> ProcessHandle:
    """A process of version 1 that waits for a signal between its two steps; no worker runs."""
    deploy(location, "1", OLD)
    cls = home.registry.load("deployed_job:Job")
    try:
        (worker,) = crew.start()
        handle = submit(cls, workspace=home)
        eventually(lambda: handle.state is ProcessState.WAITING)
        worker.stop()
        return handle
    finally:
        del sys.modules["deployed_job"]
        sys.path.remove(str(location.folder))


def wake(handle: ProcessHandle) -> None:
    """What it waits for comes."""
    handle.signal("go")


def diagnosis(location: Location) -> dict[str, Any]:
    """What `quince doctor --json` says, in a program that has not imported the old code."""
    done = subprocess.run(
        [sys.executable, "-m", "quince.cli.main", "doctor", "--json"],
        env=environment(location), cwd=location.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if document["healthy"] else 1), done.stderr
    return document


@pytest.mark.parametrize(
    ("version", "said"),
    [("1", "stands before step 'end' (at [1])"), ("2", "version '1' of Job, this is version '2'")],
)
def test_code_that_would_run_the_wrong_step_pauses_the_process(
    home: Workspace, crew: Crew, location: Location, waiting: ProcessHandle, version: str, said: str
) -> None:
    assert diagnosis(location) == {"healthy": True, "findings": []}
    deploy(location, version, NEW)
    (finding,) = diagnosis(location)["findings"]
    assert (finding["about"], finding["pids"]) == ("code", [waiting.pid])
    assert said in finding["sentence"]
    wake(waiting)
    crew.start()
    eventually(lambda: waiting.paused)
    assert said in (waiting.row.status or "")
    assert waiting.state is not ProcessState.EXCEPTED


def test_a_migration_hook_carries_the_process_over(
    home: Workspace, crew: Crew, location: Location, waiting: ProcessHandle
) -> None:
    deploy(location, "2", NEW, HOOK)
    assert diagnosis(location) == {"healthy": True, "findings": []}
    wake(waiting)
    crew.start()
    assert waiting.result(30) == {"count": 40}


def test_a_paused_process_goes_on_when_the_code_is_put_right(
    home: Workspace, crew: Crew, location: Location, waiting: ProcessHandle
) -> None:
    deploy(location, "1", NEW)
    wake(waiting)
    (worker,) = crew.start()
    eventually(lambda: waiting.paused)
    worker.stop()
    deploy(location, "1", OLD)
    crew.start()
    waiting.play()
    assert waiting.result(30) == {"count": 4}
