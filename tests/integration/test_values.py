"""What goes into a process comes back, and is the same wherever and how often its steps run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine import Workspace, run, submit
from engine.roundtrip import CHECK_VARIABLE
from engine.testing import crash_everywhere
from tests.crew import Crew
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
