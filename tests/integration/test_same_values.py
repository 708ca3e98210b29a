"""What goes into a process comes back, and is the same wherever and how often its steps run."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from quince import Workspace, run, submit
from quince.errors import ProcessHeld
from quince.settings import CHECK_VARIABLE
from quince.testing import crash_everywhere
from quince_persistence.records import State
from tests.crew import Crew, eventually
from tests.value_flows import ENDS, Careless, given


def told(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: outputs[name] for name in ENDS}


@pytest.mark.parametrize("checked", ["0", "1"])
def test_steps_find_values_as_they_were_in_run(
    tmp_path: Path, checked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECK_VARIABLE, checked)
    inputs = given()
    outputs = run(Careless, workspace=tmp_path, **inputs)
    assert told(outputs) == ENDS
    assert inputs["rows"] == [1, 2, 3]
    assert type(outputs["found"]) is dict
    assert type(outputs["all"]) is dict


def test_steps_find_values_as_they_were_in_a_worker(home: Workspace, crew: Crew) -> None:
    inputs = given()
    handle = submit(Careless, workspace=home, **inputs)
    inputs["rows"].append(4)
    crew.start(linger=0.5)
    assert told(handle.result(60)) == ENDS
    assert handle.inputs["rows"] == [1, 2, 3]
    assert type(handle.inputs["grid"]) is dict


def test_steps_find_values_as_they_were_wherever_a_worker_dies(tmp_path: Path) -> None:
    report = crash_everywhere(Careless, given(), folder=tmp_path, lingers=(0.0,), most=10)
    assert report.passed, report.story()


SHAPES = """
from dataclasses import dataclass

@dataclass
class Shape:
    x: int
"""
FLOW = """
from quince import ToContext, WorkChain, signal_

class Carries(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("shape")
        spec.input("touches", valid_type=bool)
        spec.outputs.dynamic = True
        spec.outline(cls.keep, cls.use)

    def keep(self):
        self.ctx.shapes = [self.inputs.shape]
        return ToContext(go=signal_("go"))

    def use(self):
        self.out("shapes", self.ctx.shapes)
        if self.inputs.touches:
            self.out("x", self.ctx.shapes[0].x)
"""


def test_a_class_that_is_gone_holds_up_only_who_uses_it(
    home: Workspace, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.location.folder
    (folder / "shapes_here.py").write_text(SHAPES)
    (folder / "flow_here.py").write_text(FLOW)
    monkeypatch.syspath_prepend(str(folder))
    shape = importlib.import_module("shapes_here").Shape(3)
    cls = importlib.import_module("flow_here").Carries
    try:
        both = [submit(cls, shape=shape, touches=touches, workspace=home) for touches in (False, True)]
        crew.start(linger=0.0)
        eventually(lambda: all(one.state is State.WAITING and one.row.owner is None for one in both))
        crew.workers[0].stop()
        (folder / "shapes_here.py").rename(folder / "elsewhere.txt")
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        crew.start()
        for handle in both:
            handle.signal("go")
        assert both[0].result(30)["shapes"] == [shape]
        with pytest.raises(
            ProcessHeld, match=r"shapes_here:Shape cannot be read here: .*no module 'shapes_here'"
        ):
            both[1].result(30)
        (folder / "elsewhere.txt").rename(folder / "shapes_here.py")
        both[1].play()
        assert both[1].result(30) == {"shapes": [shape], "x": 3}
    finally:
        for name in ("shapes_here", "flow_here"):
            sys.modules.pop(name, None)
