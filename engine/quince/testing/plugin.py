"""The pytest plugin: the fixtures `quince_sandbox`, `quince_workspace` and `crash_everywhere`."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from quince.processes.functions import ProcessFunction
    from quince.processes.process import Process
    from quince.testing import CrashReport, Sandbox
    from quince.workspace.workspace import Workspace


class CrashEverywhere(Protocol):
    """The fixture `crash_everywhere`: `crash_everywhere(MyChain, n=3)` crashes it at every point."""

    def __call__(
        self,
        process_class: type[Process] | ProcessFunction[..., Any, Any],
        /,
        *,
        settings: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> CrashReport:
        """Run it once undisturbed and once for each commit and message, at which its worker dies.

        Fails the test, with the story, unless it always ends in one way.

        Args:
            process_class: A process class or a `@process` function, at the top level of a module.
            settings: Whatever else `quince.testing.crash_everywhere` takes.
            inputs: Its inputs, by name.

        Returns:
            What was tried, and how it ended.
        """


@pytest.fixture
def quince_sandbox() -> Iterator[Sandbox]:
    """A workspace in memory with a worker in this program, and a clock that can be moved.

    `submit(MyChain, n=3)` without another word happens there; `quince_sandbox.settle()` returns when nothing
    goes on by itself any more, and `quince_sandbox.clock.advance(hours=6)` lets six hours pass in no time.
    """
    sandboxes = importlib.import_module("quince.testing.sandboxes")  # only now: no other test pays for it
    with sandboxes.sandbox() as box:
        yield box


@pytest.fixture
def quince_workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An empty embedded workspace in a folder of its own, closed and gone after the test.

    It is the working directory meanwhile, so `run(MyChain, n=3)` without another word happens there.
    """
    workspaces = importlib.import_module("quince.workspace.workspace")  # only now: no other test pays for it
    sandboxes = importlib.import_module("quince.testing.sandboxes")
    folder = tmp_path / "workspace"
    folder.mkdir()
    with sandboxes.surroundings(), contextlib.chdir(folder):
        workspaces.prepare(workspaces.locate(folder))  # else one in a folder above would be found
        with workspaces.resolve(None) as home:
            yield home


@pytest.fixture
def crash_everywhere(tmp_path: Path) -> CrashEverywhere:
    """`crash_everywhere(MyChain, n=3)`: crash it at every commit and every message, one run for each.

    Fails with the story unless it always ends the same. Returns the report. Inputs are given by name;
    everything of `quince.testing.crash_everywhere` but the inputs can be given as `settings`, a mapping.
    """
    crash = importlib.import_module(
        "quince.testing.crashes"
    ).crash_everywhere  # only now: it is half a second
    numbers = iter(range(1, 1_000_000))

    def crash_it(
        process_class: type[Process] | ProcessFunction[..., Any, Any],
        /,
        *,
        settings: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> CrashReport:
        report: CrashReport = crash(
            process_class, inputs, folder=tmp_path / f"crashes-{next(numbers)}", **(settings or {})
        )
        if not report.passed:
            pytest.fail(report.story(), pytrace=False)
        return report

    return crash_it
