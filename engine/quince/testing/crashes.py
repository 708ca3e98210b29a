"""Crashing a workflow at every point of its life."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quince.client.submit import submit
from quince.errors import EngineError
from quince.interpreter import EXPLORER, command_line
from quince.processes.functions import ProcessFunction
from quince.processes.process import Process
from quince.testing.explorer import Job
from quince.testing.grounds import SNAPSHOT, OnServers, place_of, take_snapshot
from quince.testing.report import CrashReport, Outcome
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace, open_store

LINGERS = (0.0, 0.5)
"""A waiting process is evicted at once; it stays in memory. The two go different ways."""


class CrashTestFailed(EngineError):
    """The workflow could not be tried: it does not even end when nothing disturbs it."""


def crash_everywhere(
    process_class: type[Process] | ProcessFunction[..., Any, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    lingers: Sequence[float] = LINGERS,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
    most: int = 0,
    twice: int = 0,
    patience: float = 20.0,
    workers: int | None = None,
    places: Sequence[Location] = (),
) -> CrashReport:
    """Run a workflow on an embedded workspace, once undisturbed and once for each point, at which its
    worker dies: before and after every commit and every message. A second worker then recovers. And once for
    each point at which a step host dies: before and after it answers what a step did. Its worker goes on.

    It must end the same every time: the same processes in the same states with the same outputs, each
    child once, each committed step once, and no claim, lease or task left behind. What its steps do to
    the world outside is not seen here.

    Args:
        process_class: A process class or `@process` function at the top level of a module.
        inputs: Its inputs.
        folder: An empty folder for the workspaces; one that is removed in the end if not given.
        lingers: Seconds that waiting processes stay in memory; everything is tried with each.
        ignore: Outputs (of any process) that may differ: times, random numbers, pids.
        only: Crash only at points whose names begin so (`commit of Family.`), not at all of them.
        most: At most so many points for each linger, and so many in step hosts, spread evenly; 0 for all.
        twice: At most so many points of each recovery, spread evenly, at which the recovering worker dies
            too, with one more run for each; then a third one recovers.
        patience: Seconds that each run may take.
        workers: How many points are tried at the same time; the number of processors if not given.
        places: Empty workspaces on servers, each with a database and a virtual host of its own, in place
            of embedded ones; one for each point that is tried at the same time. All that is in them is
            deleted before every run.

    Raises:
        CrashTestFailed: it does not end even when nothing disturbs it, or a place is not empty; says why.
        EngineError, PersistenceError: it cannot be submitted.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="quince-crashes-") as temporary:
            return crash_everywhere(
                process_class, inputs, folder=Path(temporary), lingers=lingers, ignore=ignore, only=only,
                most=most, twice=twice, patience=patience, workers=workers, places=places,
            )  # fmt: skip
    template = folder / "template"
    template.mkdir(parents=True)
    for location in places:
        _refuse_full(location)
    first = places[0] if places else place_of(template)
    with Workspace(dataclasses.replace(first, folder=template)) as home:
        handle = submit(process_class, workspace=home, inputs=inputs)
        target = handle.row.class_path
    grounds = [OnServers(location.store, location.broker, handle.pid) for location in places]
    if grounds:
        (template / SNAPSHOT).write_bytes(take_snapshot(first.store))
    job = Job(
        target, str(template), str(folder), [path or str(Path.cwd()) for path in sys.path], list(lingers),
        patience, list(ignore), list(only), most, twice, len(grounds) or workers or os.cpu_count() or 1,
        grounds,
    )  # fmt: skip
    began = time.monotonic()
    outcomes = _explore(job, folder / "job")
    return CrashReport(target, outcomes, time.monotonic() - began)


def _refuse_full(location: Location) -> None:
    """Make the tables; what is there already is somebody's."""
    with open_store(location) as store:
        if any(store.counts().values()) or store.workers():
            raise CrashTestFailed(
                f"there are processes or workers in {store.url}; a crash test deletes all that is in its "
                "places, so give it empty databases"
            )


def _explore(job: Job, file: Path) -> list[Outcome]:
    file.write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        command_line(EXPLORER, str(file)), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise CrashTestFailed(done.stderr.strip() or f"the explorer ended with status {done.returncode}")
    return [msgspec.json.decode(line, type=Outcome) for line in done.stdout.splitlines()]
