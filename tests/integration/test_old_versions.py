"""What an earlier version, whose modules had other names, has left: a daemon that runs, a store.

The daemon's folder has files that are called like modules, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quince import ExitCode, ProcessExcepted, ProcessState, Workspace, get_process, submit
from quince.daemon import operations as daemon
from quince.daemon.files import Settings
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.workspace.class_loader import load_target
from quince.workspace.location import Location, locate
from quince.workspace.workspace import open_store, prepare
from quince_persistence.errors import SchemaOutdated
from quince_persistence.migrations import upgrade
from tests.crew import Crew
from tests.forked import ForkServer

OLD = Path(__file__).with_name("old_store")
JOB = """
import random
from quince import Process
class Job(Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output("number", valid_type=float)
    async def run(self):
        assert (await self.command("true")).status == 0
        self.out("number", random.random())
"""
OCCUPIED = ["asyncio", "email", "engine", "logging", "messaging", "persistence", "queue", "quince",
            "quince_messaging", "random", "select", "signal", "sqlalchemy", "types", "typing"]  # fmt: skip


@pytest.fixture
def old_daemon(tmp_path: Path) -> Iterator[Location]:
    """A daemon with the command line that it had before the packages were renamed, in a folder where many
    names are taken."""
    code = tmp_path / "code" / "engine" / "supervisor.py"
    for folder in (code.parent, tmp_path / "work"):
        folder.mkdir(parents=True)
    location = locate(tmp_path / "work")
    for name in OCCUPIED:
        (location.folder / f"{name}.py").write_text(JOB)
    code.write_text("import sys\nfrom quince.daemon.supervisor import main\nmain(*sys.argv[1:])")
    prepare(location)
    open_store(location).close()
    out, into = os.pipe()
    words = [sys.executable, "-m", "engine.supervisor", str(location.folder), str(into), Settings().text()]
    variables = {STORE_VARIABLE: location.store, BROKER_VARIABLE: location.broker}
    variables["PYTHONPATH"] = str(code.parent.parent)
    process = subprocess.Popen(words, env={**os.environ, **variables}, pass_fds=(into,))
    os.close(into)
    try:
        with os.fdopen(out) as pipe:
            assert pipe.readline() == "ready\n"
        yield location
    finally:
        process.terminate()
        process.wait(30)
        daemon.stop(location, 0)


def test_an_old_daemon_is_replaced_by_one_of_today(
    old_daemon: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = daemon.state(old_daemon).ospid
    assert old is not None
    said: list[str] = []
    daemon.restart(old_daemon, 0, said.append)
    assert "earlier version" in said[0]
    now = psutil.Process(daemon.state(old_daemon).ospid)
    assert "quince.daemon.supervisor" in now.cmdline()
    assert now.pid != old
    monkeypatch.chdir(old_daemon.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with Workspace(old_daemon) as home:
        handles = [
            submit(load_target(f"{name}.py:Job", home.registry), workspace=home)
            for name in ("queue", "types", "quince")
        ]
        assert all(handle.result(30)["number"] < 1 for handle in handles)


def test_a_store_of_before_goes_on(tmp_path: Path, worker_forks: ForkServer) -> None:
    """A chain that waits for a signal, one that is queued and one that is paused, with values of
    our own types in inputs and context."""
    location = locate(tmp_path)
    prepare(location)
    with contextlib.closing(sqlite3.connect(tmp_path / ".quince" / "quince.db")) as store:
        store.executescript((OLD / "store.sql").read_text())
    shutil.copy(OLD / "flows.py", tmp_path)
    with pytest.raises(SchemaOutdated, match="quince init --upgrade"):
        open_store(location).open()
    upgrade(location.store)
    crew = Crew(location, worker_forks)
    with Workspace(location) as home, contextlib.closing(crew):
        waiting, queued, paused, plain = (get_process(pid, workspace=home) for pid in (1, 12, 13, 11))
        assert waiting.inputs == {"any": {"a": [ExitCode(1, "x")], "s": ProcessState.KILLED}}
        crew.start(1)
        paused.play()
        for handle in (waiting, queued, paused):
            handle.signal("go")
            handle.wait(30)
            assert (handle.exit_status, handle.exit_message) == (7, "seven")
            assert handle.outputs["seen"] == [1, 4]
            assert handle.outputs["kept"] == [ExitCode(7, "seven"), ProcessState.WAITING, None]
        assert plain.result(30) == {"result": 81}
        with pytest.raises(ProcessExcepted, match=r"InvalidOutput: BadOut: output 'x'"):
            get_process(3, workspace=home).result()
