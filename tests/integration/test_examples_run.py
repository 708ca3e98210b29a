"""The examples, run as a person runs them: from the command line, with workers of their own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from quince import ProcessState, Workspace, get_process, set_limit
from quince.workspace.location import Location
from quince_persistence.records import Selection
from tests.crew import ROOT, Crew, environment, eventually
from tests.forked import ForkServer

EXAMPLE = ROOT / "examples" / "equation_of_state"
TARGET = "equation_of_state/workflow.py:EquationOfState"
KNOWN = {"volume": 36.1709, "energy": -0.088883, "bulk_modulus": 3.1495}
POINTS = 9


@pytest.fixture
def folder(location: Location) -> Path:
    """The workspace's folder, with a copy of the example in it."""
    shutil.copytree(EXAMPLE, location.folder / EXAMPLE.name, ignore=shutil.ignore_patterns("__pycache__"))
    return location.folder


@pytest.fixture
def quince(location: Location, worker_forks: ForkServer) -> Callable[..., Any]:
    """Runs a command, and gives what it prints with --json."""

    def run(*words: str) -> Any:
        done = worker_forks.run(
            [*words, "--json"], cwd=location.folder, env=environment(location), timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def check_result(document: dict[str, Any]) -> None:
    assert (document["state"], document["exit_status"]) == ("finished", 0)
    outputs = document["outputs"]
    assert {name: outputs[name] for name in KNOWN} == pytest.approx(KNOWN, rel=1e-5)
    assert base64.b64decode(outputs["plot"]).startswith(b"\x89PNG")


def test_equation_of_state_on_two_workers(quince: Callable[..., Any], folder: Path, crew: Crew) -> None:
    crew.start(2)
    check_result(quince("submit", TARGET, "--wait", "--timeout", "50"))


def test_equation_of_state_with_a_worker_killed_in_the_middle(
    quince: Callable[..., Any], home: Workspace, folder: Path, crew: Crew
) -> None:
    first, _ = crew.start(2, slots=3)
    pid = quince("submit", TARGET, "delay=1")["pid"]

    def is_busy_after_a_step() -> bool:
        rows = home.store.select(Selection(parent=pid))
        return any(row.step == "add_up" and f":{first.process.pid}:" in (row.owner or "") for row in rows)

    eventually(is_busy_after_a_step, what="a child in its second step on the first worker")
    first.kill()
    quince("wait", str(pid), "--timeout", "50")

    check_result(quince("result", str(pid)))
    children = home.store.select(Selection(parent=pid))
    assert [child.state for child in children] == [ProcessState.FINISHED] * POINTS
    assert max(child.epoch for child in children) >= 2, "none was taken over by the other worker"
    for child in children:  # a committed step that ran again would have reported again
        assert [event.kind for event in home.store.events(child.pid)].count("report") == 1


def test_equation_of_state_tells_what_is_wrong_with_its_input(
    quince: Callable[..., Any], home: Workspace, folder: Path, crew: Crew
) -> None:
    crew.start()
    for words, status in ((["points=4"], 420), (["strain=0.01"], 420)):
        pid = quince("submit", TARGET, *words)["pid"]
        get_process(pid, workspace=home).wait(50)
        document = quince("show", str(pid))
        assert document["exit_status"] == status
        assert "points are too few" in document["exit_message"] or "no minimum" in document["exit_message"]


SMALL = [
    ("approval/approval.py:HeatOfVaporisation", ["patience=0 s"], 411),
    ("convergence/convergence.py:Converged", ["element=Kr"], 0),
    ("sweep/sweep.py:Sweep", ["points=3"], 0),
    ("word_count/word_count.py:WordCount", [], 0),
]


def test_small_examples_on_workers(
    location: Location, quince: Callable[..., Any], home: Workspace, crew: Crew
) -> None:
    """As their texts say; what they compute is tested beside them."""
    for name in ("approval", "convergence", "nightly", "sweep", "word_count"):
        shutil.copytree(
            EXAMPLE.parent / name, location.folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    crew.start(2)
    set_limit("solver", 2, workspace=home)
    pids = [quince("submit", target, *words)["pid"] for target, words, _ in SMALL]
    done = subprocess.run(
        [sys.executable, "nightly.py"], cwd=location.folder / "nightly", env=environment(location), timeout=60
    )
    assert done.returncode == 0
    quince("schedule", "backfill", "weather", "--from", "2025-10-26", "--to", "2025-10-29")
    for pid, (target, _, status) in zip(pids, SMALL, strict=True):
        assert get_process(pid, workspace=home).wait(50).exit_status == status, target
    nights = Selection(classes=["DayReport"], states=[ProcessState.FINISHED])
    eventually(lambda: len(home.store.select(nights)) == 4, what="the reports of four nights")


def test_hello_here_and_now(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "hello.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("QUINCE_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("Hello, world!\n", "")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("interrupt", [None, signal.SIGINT])
def test_the_demo_leaves_nothing_running(tmp_path: Path, interrupt: signal.Signals | None) -> None:
    demo = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "demo.py"],
        env=dict(os.environ) | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    told = ""
    for line in demo.stdout:
        told += line
        if interrupt and line.startswith("$ kill -9"):
            demo.send_signal(interrupt)
    demo.stdout.close()
    assert demo.wait(120) == (1 if interrupt else 0), told
    if not interrupt:
        assert "36.1709" in told
        assert "3.1495" in told
    eventually(lambda: not _running(tmp_path), timeout=10, what="the end of all")  # they were told to end
    assert list(tmp_path.iterdir()) == []


def _running(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if str(folder) in _command_line(process)]


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
