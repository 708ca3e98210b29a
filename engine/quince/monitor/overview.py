"""The workspace at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quince.monitor.dear import LONGEST, Dear
from quince.monitor.fleet import Failures, Limit, Queue, ScheduleView, Worker, queues_of
from quince.monitor.rows import Row
from quince.workspace.workspace import Workspace
from quince_messaging.passwords import without_password
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, Selection, State

FAILURE_SECONDS = 86_400.0
"""Which failures are counted: those of the last day."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How much has ended lately.

    Attributes:
        per_minute: How many processes have ended in each of the last minutes, the oldest first; the last
            one is the minute that goes on.
        well: The same of those that have ended well.
    """

    per_minute: Sequence[int]
    well: Sequence[int]


@dataclass(frozen=True, slots=True)
class Overview:
    """The workspace at a glance.

    Attributes:
        folder: Of the workspace.
        store: URL of the store, without its password; `broker` likewise.
        counts: How many processes are in each state; None: they are being counted, and the next overview has
            them. So with `failures` and `throughput`.
        paused: How many in each state are paused (they are in `counts` too).
        workers: Those that are registered.
        queues: Those on which something waits, or from which some worker takes.
        limits, schedules: All of them.
        failures: Of the last day.
        running: Some that run, those in their step for the longest first.
        failed: Those that have failed last.
        waits: How many processes wait for what: `queued` for a worker, for `limits`, `paused` for a person.
        throughput: Of the last minutes.
        seen: When it was read, in seconds since the epoch.
    """

    folder: str
    store: str
    broker: str
    counts: Mapping[State, int] | None
    paused: Mapping[State, int]
    workers: Sequence[Worker]
    queues: Sequence[Queue]
    limits: Sequence[Limit]
    schedules: Sequence[ScheduleView]
    failures: Failures | None
    running: Sequence[Row]
    failed: Sequence[Row]
    waits: Mapping[str, int]
    throughput: Throughput | None
    seen: float


MINUTES = 15
MANY = 100_000
MOMENT = 0.03
"""Seconds for which an overview waits for what takes long to count, if there may be more than `MANY`
processes."""
SHOWN = 20
"""Processes that run, or have failed, that are shown."""


class Looking(Protocol):
    """The monitor whose overview it is."""

    workspace: Workspace

    def rows(self, found: Sequence[ProcessRow]) -> Sequence[Row]: ...
    def workers(self) -> Sequence[Worker]: ...
    def limits(self) -> Sequence[Limit]: ...
    def schedules(self) -> Sequence[ScheduleView]: ...


def overview_of(monitor: Looking, dear: Dear) -> Overview:
    """The workspace at a glance."""
    store, place = monitor.workspace.store, monitor.workspace.location
    newest = store.select(Selection(limit=1))
    many = bool(newest) and newest[0].pid > MANY
    until = time.monotonic() + (MOMENT if many else LONGEST)
    counts = dear.begin("counts", store.counts)
    failures = dear.begin("failures", lambda: store.failures(store.clock() - FAILURE_SECONDS))
    throughput = dear.begin(("throughput", MINUTES), lambda: counted_ends(store, MINUTES))
    running = store.select(Selection(states=[State.RUNNING], paused=False, limit=10 * SHOWN))
    running = sorted(running, key=lambda row: row.updated)[:SHOWN]
    rows = monitor.rows([*running, *store.last_failed(SHOWN)])
    paused = dear.get("paused", store.paused_counts)
    workers, limits = monitor.workers(), monitor.limits()
    now = store.clock()
    queues = queues_of(dear.get("queues", store.queues), workers, now)
    return Overview(
        folder=str(place.folder),
        store=without_password(place.store),
        broker=without_password(place.broker),
        paused=paused,
        workers=workers,
        queues=queues,
        limits=limits,
        schedules=monitor.schedules(),
        running=rows[: len(running)],
        failed=rows[len(running) :],
        waits={
            "queued": sum(queue.depth for queue in queues),
            "limits": sum(limit.row.waiting for limit in limits),
            "paused": sum(paused.values()),
        },
        seen=now,
        counts=counts(until - time.monotonic()),
        failures=_by_class(failures(until - time.monotonic())),
        throughput=throughput(until - time.monotonic()),
    )


def _by_class(found: Mapping[tuple[str, State, int | None], int] | None) -> Failures | None:
    if found is None:
        return None
    return {(path, state.value, code): count for (path, state, code), count in found.items()}


def counted_ends(store: StoreContract, minutes: int) -> Throughput:
    """How many have ended in each of the last minutes."""
    ended, well = [0] * minutes, [0] * minutes
    for place, count, failed in store.ends(store.clock() - 60.0 * minutes, 60.0):
        place = min(place, minutes - 1)
        ended[place] += count
        well[place] += count - failed
    return Throughput(ended, well)
