"""What `run()` tells of the step that failed, and how it ends when it is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quince import Process, ProcessExcepted, Workspace, process, run
from quince.cli.results import failing_line
from quince.worker.switching import QUICK_SECONDS, quick_switching
from quince.worker.worker import Worker
from quince.workspace.location import Location
from quince_persistence.codec import encode
from quince_persistence.errors import Unsaveable
from tests.crew import eventually, importing


class Fails(Process):
    """Ends with an exception of its own making, from a blocking step or a coroutine."""

    error: Exception

    def run(self) -> None:
        raise self.error


class FailsInCoroutine(Fails):
    async def run(self) -> None:  # type: ignore[override]
        raise self.error


@process
def divide(by: int) -> float:
    return 1 / by


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Workspace]:
    state = tmp_path / ".quince"
    with Workspace(Location(tmp_path, f"sqlite:///{state}/quince.db", f"local://{state}/messages")) as home:
        yield home


@pytest.mark.parametrize("kind", [Fails, FailsInCoroutine])
@pytest.mark.parametrize("error", [ValueError("odd"), TimeoutError("no licence"), StopIteration("enough")])
def test_the_exception_itself_is_the_cause(home: Workspace, kind: Any, error: Exception) -> None:
    kind.error = error
    with pytest.raises(ProcessExcepted) as caught:
        run(kind, workspace=home)
    cause = caught.value.__cause__
    while cause is not None and cause is not error:  # no StopIteration leaves a coroutine as it is
        cause = cause.__cause__
    assert cause is error
    frames = traceback.extract_tb(error.__traceback__)
    assert frames[-1].line == "raise self.error"
    assert "raise self.error" in caught.value.traceback, "nor is it lost to those who are elsewhere"


def test_a_post_mortem_begins_in_the_step(home: Workspace) -> None:
    with pytest.raises(ProcessExcepted) as caught:
        run(divide, by=0, workspace=home)
    innermost = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(innermost.filename).name, innermost.line) == (Path(__file__).name, "return 1 / by")
    assert caught.value.__cause__ is not None
    first = traceback.extract_tb(caught.value.__cause__.__traceback__)[0]
    assert Path(first.filename).name == Path(__file__).name, "the engine's own frames tell a user nothing"


def test_the_line_that_is_told_is_the_users_own() -> None:
    def deep() -> None:
        import json  # noqa: PLC0415 - what matters is whose file the last frame is in

        json.loads("{")

    try:
        deep()
    except ValueError:
        line = failing_line(traceback.format_exc())
    assert line.startswith(f"  {__file__}, line ")
    assert line.endswith('in deep: json.loads("{")\n')
    assert failing_line("no traceback") == ""


def test_the_line_that_is_told_is_none_of_ours_and_is_found_in_groups() -> None:
    def save() -> None:
        encode(iter([]), "x")

    def both() -> None:
        raise ExceptionGroup("two", [ValueError("one")])

    for broken, said in (save, 'in save: encode(iter([]), "x")'), (both, "in both: raise ExceptionGroup("):
        try:
            broken()
        except (Unsaveable, ExceptionGroup):
            line = failing_line(traceback.format_exc())
        assert line.startswith(f"  {__file__}, line ")
        assert said in line


SCRIPT = """
import pathlib, time
from quince import Process, run

class Blocks(Process):
    DEF run(self):
        pathlib.Path("begun").touch()
        time.sleep(600)

run(Blocks)
"""


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_ctrl_c_ends_a_script_though_its_step_blocks(tmp_path: Path, keyword: str) -> None:
    """A coroutine step that blocks holds up the worker's event loop too."""
    (tmp_path / "script.py").write_text(SCRIPT.replace("DEF", keyword))
    with subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env=importing(), stderr=subprocess.PIPE
    ) as script:
        eventually((tmp_path / "begun").exists, what="the step")
        script.send_signal(signal.SIGINT)
        _, told = script.communicate(timeout=25)
    assert b"process 1 is killed" in told


def test_a_worker_that_ends_leaves_nobody_waiting(home: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run_out(_self: Worker) -> None:
        raise MemoryError

    monkeypatch.setattr(Worker, "feed", lambda self, pids: self.stop())
    monkeypatch.setattr(Worker, "_drain", run_out)
    with pytest.raises(MemoryError):
        run(divide, by=1, workspace=home)


def test_the_switch_interval_of_the_interpreter_is_put_back(home: Workspace) -> None:
    """However `run()` ends, also beside another one that began later or ends first."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.0070005)
    own = sys.getswitchinterval()
    try:
        run(divide, by=1, workspace=home)
        assert sys.getswitchinterval() == own
        with pytest.raises(ProcessExcepted):
            run(divide, by=0, workspace=home)
        assert sys.getswitchinterval() == own
        first, second = quick_switching(), quick_switching()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert sys.getswitchinterval() == pytest.approx(QUICK_SECONDS, abs=2e-6), "the other one needs it"
        second.__exit__(None, None, None)
        assert sys.getswitchinterval() == own
        with quick_switching():
            sys.setswitchinterval(0.002)
        assert sys.getswitchinterval() == pytest.approx(0.002, abs=2e-6), "what the program says itself stays"
    finally:
        sys.setswitchinterval(usual + 5e-7)
