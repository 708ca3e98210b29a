"""Step hosts of a module that imports much share what is installed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from quince import Workspace, submit_many
from tests.crew import Crew, eventually

SOURCE = """
import os
import time
import uuid
from pathlib import Path

import numpy.random

from quince import Process

OWN = uuid.uuid4().hex


class Draws(Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("gate", valid_type=str)
        spec.output("seen", valid_type=list)

    def run(self):
        Path(self.inputs.gate + f"-{self.pid}").touch()
        while not Path(self.inputs.gate).exists():
            time.sleep(0.02)
        self.out("seen", [os.getppid(), float(numpy.random.random()), OWN])
"""


pytestmark = pytest.mark.parametrize("location", ["embedded"], indirect=True)


def test_hosts_share_what_is_installed_and_no_state(
    home: Workspace, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "draws.py").write_text(SOURCE)
    cls = __import__("draws").Draws
    gate = tmp_path / "gate"
    crew.start(1, slots=6)
    handles = submit_many(cls, [{"gate": str(gate)}] * 6, workspace=home)
    eventually(lambda: all(Path(f"{gate}-{one.pid}").exists() for one in handles))
    gate.touch()
    parents, drawn, own = zip(*(one.result(timeout=30)["seen"] for one in handles), strict=True)
    assert len(set(parents)) == 2, "the host that loaded the module first, and those of the second template"
    assert len(set(drawn)) == 6
    assert len(set(own)) == 6
