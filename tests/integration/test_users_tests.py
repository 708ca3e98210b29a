"""The fixtures as a user has them: with a conftest and coroutines of one's own, and beside each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import sys
from pathlib import Path
import pytest

@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    before = (list(sys.path), Path.cwd())
    yield
    assert (list(sys.path), Path.cwd()) == before

@pytest.fixture
def handle(quince_sandbox):
    from flows import Asks
    from quince import submit
    return submit(Asks)
"""
FLOWS = """
from quince import ToContext, WorkChain, process, run, signal_

@process
def double(n: int) -> int:
    return 2 * n

class Asks(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output("answer")
        spec.outline(cls.ask, cls.tell)

    def ask(self):
        return ToContext(answer=signal_("answer", timeout="1 d"))

    def tell(self):
        self.out("answer", self.ctx.answer)
"""
TESTS = """
import pytest
from flows import double
from quince import asubmit, run

@pytest.mark.parametrize("n", range(3))
def test_a_function(quince_sandbox, n):
    assert run(double, n=n) == {"result": 2 * n}

@pytest.mark.parametrize("n", range(3))
def test_on_disk(quince_workspace, n):
    assert run(double, n=n) == {"result": 2 * n}
    assert (quince_workspace.location.folder / ".quince" / "quince.db").exists()

@pytest.mark.asyncio
async def test_a_coroutine(quince_sandbox):
    assert await (await asubmit(double, n=4)) == {"result": 8}

def test_in_a_fixture_of_my_own(handle, quince_sandbox):
    quince_sandbox.clock.advance(days=2)
    assert handle.result(5) == {"answer": None}

def test_that_fails(quince_sandbox):
    quince_sandbox.clock.advance(days=1)
    assert run(double, n=1) == {"result": 3}
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "beside each other"])
def test_in_a_users_project(tmp_path: Path, workers: list[str]) -> None:
    for name, text in (("conftest", CONFTEST), ("flows", FLOWS), ("test_flows", TESTS)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers],
        cwd=tmp_path,
        env=dict(os.environ) | {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert "1 failed, 8 passed" in done.stdout, done.stdout
    assert "assert {'result': 2} == {'result': 3}" in done.stdout
    assert [entry.name for entry in temporary.iterdir() if not entry.name.startswith("pytest-of")] == []
