"""The pytest plugin: the fixture `crash_everywhere`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.testing import CrashReport

CrashEverywhere = Callable[..., "CrashReport"]


@pytest.fixture
def crash_everywhere(tmp_path: Path) -> CrashEverywhere:
    """`crash_everywhere(MyChain, n=3)`: crash it at every commit and every message, one run for each.

    Fails with the story unless it always ends the same. Returns the report. Inputs are given by name;
    everything of `engine.testing.crash_everywhere` but the inputs can be given as `settings`, a mapping.
    """
    crash = importlib.import_module(
        "engine.testing.crashes"
    ).crash_everywhere  # only now: it is half a second
    numbers = iter(range(1, 1_000_000))

    def crash_it(
        process_class: Any, /, *, settings: dict[str, Any] | None = None, **inputs: Any
    ) -> CrashReport:
        report: CrashReport = crash(
            process_class, inputs, folder=tmp_path / f"crashes-{next(numbers)}", **(settings or {})
        )
        if not report.passed:
            pytest.fail(report.story(), pytrace=False)
        return report

    return crash_it
