"""One life of a worker: from its start until all is at rest, or until its point."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

import quince_messaging
from quince.recovery import sweeper as recovery
from quince.settings import BROKER_VARIABLE, STORE_VARIABLE
from quince.testing.faulty import FaultyCommunicator, Journal, install
from quince.testing.hosts import HostPoints, SharedJournal, start_template
from quince.testing.outcomes import Portrait, draw
from quince.testing.points import Point, Points
from quince.testing.stand_in import stand_in
from quince.worker.worker import Worker
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location
from quince.workspace.workspace import open_store
from quince_persistence.records import TERMINAL

LOOK_SECONDS = 0.005
QUIET_LOOKS = 3
"""So often in a row must all be at rest: a task that was delivered twice may be between queue and claim."""

SLOTS = 16

QUICK = {"DEATH_SECONDS": 0.02, "SWEEP_SECONDS": 0.04, "STALE_SECONDS": 0.1}
"""Intervals of the sweeps in a life that recovers, so that a lost doorbell does not cost seconds."""


class Course(msgspec.Struct, frozen=True):
    """What a life that was not cut short leaves."""

    points: list[Point]
    portrait: Portrait


def journal_of(folder: Path) -> Path:
    return folder / "steps"


def live(
    location: Location,
    *,
    linger: float,
    patience: float,
    ignore: Sequence[str],
    fatal: Point | None,
    recovers: bool,
    hosted: bool = False,
) -> Course:
    """Live. To be called once in an operating-system process, which may end in the middle of it.

    Args:
        linger: Seconds that a waiting process stays in memory.
        patience: Seconds in which all must have come to rest.
        ignore: Outputs that are left out of the portrait.
        fatal: Where it ends.
        recovers: Others have died here before.
        hosted: Steps run in step hosts, and it is one of these that may end; else in this program.
    """
    folder = location.folder
    _log_into(folder / "log")
    if recovers:
        for name, seconds in QUICK.items():
            stand_in(recovery, name, seconds)
    # What a step submits by itself goes where the others are, and is found if it comes twice.
    os.environ[STORE_VARIABLE], os.environ[BROKER_VARIABLE] = location.store, location.broker
    file = journal_of(folder)
    points, in_hosts = Points(None if hosted else fatal), HostPoints(folder / "host-points", fatal)
    template = start_template(in_hosts, file) if hosted else None
    connect = quince_messaging.connect_async
    opened = install(points, SharedJournal(file) if hosted else Journal(file))
    worker = Worker(
        location, slots=SLOTS, name="crash-test", linger=linger, registry=ClassLoader(Path.cwd()),
        template=template,
    )  # fmt: skip
    late = asyncio.run(_work(worker, opened, patience))

    async def tasks(names: str | None) -> int:
        async with connect(location.broker, prefix=names) as communicator:
            return await communicator.queue_size()

    with open_store(location) as store:
        left = asyncio.run(tasks(location.names(store.identity)))
        portrait = draw(store, file, left, ignore, late=late)
    return Course(in_hosts.passed if hosted else points.passed, portrait)


async def _work(worker: Worker, opened: list[FaultyCommunicator], patience: float) -> bool:
    """Until all is at rest. True: it was not in time."""
    deadline = time.monotonic() + patience
    working = asyncio.ensure_future(worker.run())
    quiet = 0
    while quiet < QUIET_LOOKS and not working.done() and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        quiet = quiet + 1 if opened and await _at_rest(worker, opened[0]) else 0
    late = time.monotonic() >= deadline
    worker.leave() if late else worker.stop()
    await working
    return late


async def _at_rest(worker: Worker, communicator: FaultyCommunicator) -> bool:
    if not worker.idle or not await asyncio.get_running_loop().run_in_executor(None, _ended, worker):
        return False
    nothing_queued = await communicator.queue_size() == 0
    return nothing_queued and worker.idle  # what left the queue before it was counted has come by now


def _ended(worker: Worker) -> bool:
    """All processes have ended, and whoever died before has been found dead."""
    if [row.id for row in worker.store.workers()] != [worker.id]:
        return False
    return not any(number for state, number in worker.store.counts().items() if state not in TERMINAL)


def _log_into(file: Path) -> None:
    sys.stderr = file.open("a", buffering=1)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(process)d %(levelname)s %(name)s: %(message)s",
        force=True,
    )
