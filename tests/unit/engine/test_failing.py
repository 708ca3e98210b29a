"""Services that fail for a while, in tests of workflows."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from quince import CommandFailed, Process, ProcessExcepted, run
from quince.testing import Sandbox, failing, run_step


def fetch(name: str) -> str:
    return name.upper()


async def fetch_later(name: str) -> str:
    return name.upper()


def test_a_function_fails_and_then_works() -> None:
    flaky = failing(fetch, times=2, error=TimeoutError)
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"failure \d of 2"):
            flaky("a")
    assert (flaky("a"), flaky.calls) == ("A", 3)
    own = failing(error=OSError("disk"), returns=7)
    with pytest.raises(OSError, match="disk"):
        own()
    assert own(1, two=3) == 7


async def test_a_coroutine_fails_and_then_works() -> None:
    flaky = failing(fetch_later)
    with pytest.raises(ConnectionError):
        await flaky("a")
    assert (await flaky("a"), flaky.calls) == ("A", 2)


class Fetches(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("got")

    def run(self) -> None:
        self.out("got", fetch("a"))


def test_steps_meet_it(quince_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.fetch", failing(fetch, times=2))
    with pytest.raises(ProcessExcepted):
        run(Fetches)
    with pytest.raises(ConnectionError):
        run_step(Fetches)
    assert run(Fetches) == {"got": "A"}


class Orders(Process):
    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.output("said")

    async def run(self) -> None:
        done = await self.command("sbatch", "--array", "1-3", "job.sh")
        self.out("said", done.stdout.decode())


def test_a_program_fails_and_then_works(quince_sandbox: Sandbox) -> None:
    calls = quince_sandbox.program("sbatch", prints="job 17's", fails=1, complains="no 'room'", exit_status=3)
    assert calls() == []
    with pytest.raises(ProcessExcepted, match="no 'room'") as raised:
        run(Orders)
    assert isinstance(raised.value.__cause__, CommandFailed)
    assert run(Orders) == {"said": "job 17's\n"}
    assert calls() == ["--array 1-3 job.sh"] * 2


def test_no_program_is_left_on_the_path() -> None:
    assert "quince-" not in os.environ["PATH"]


def test_a_call_is_one_whatever_its_arguments_are(quince_sandbox: Sandbox) -> None:
    calls = quince_sandbox.program("mpirun", fails=1)
    ended = [subprocess.run(["mpirun", *given]).returncode for given in (["-n", "4"], ["a\nb\\n"], ["c"])]
    assert (ended, calls()) == ([1, 0, 0], ["-n 4", "a b\\n", "c"])
