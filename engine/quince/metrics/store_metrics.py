"""What the store knows, for metrics. Every worker says the same of it: `max`, not `sum`, is what counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from quince.settings import EXPIRY_SECONDS
from quince_persistence.contract import StoreContract
from quince_persistence.errors import PersistenceError
from quince_persistence.records import OWN_QUEUE
from quince_persistence.records.workers import QueueRow

FRESH_SECONDS = 5.0
SHARE = 20.0
"""So many times as long as a read has taken, what it has found is told: a large store is read seldom."""
MOST = 200
OTHER = "other"


class StoreMetrics(Collector):
    """Read when somebody asks, and not again for some seconds."""

    def __init__(self, store: StoreContract) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: list[Metric] = []
        self._until = 0.0

    def describe(self) -> Iterable[Metric]:
        return ()  # so that nothing is read when it is registered

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                up = True
                try:
                    self._found = list(self._read())
                except PersistenceError:
                    self._found, up = [], False
                took = time.monotonic() - began
                self._until = began + took + max(FRESH_SECONDS, SHARE * took)
                self._found += [
                    _single("quince_store_up", "Whether the store has answered.", float(up)),
                    _single("quince_store_read_seconds", "How long it took to read all this.", took),
                ]
            yield from self._found

    def _read(self) -> Iterator[Metric]:
        store = self._store
        processes = GaugeMetricFamily("quince_store_processes", "Processes by state.", labels=["state"])
        for state, count in store.counts().items():
            processes.add_metric([state.value], count)
        yield processes
        live = GaugeMetricFamily(
            "quince_store_live_processes", "Processes that live, by class and state.",
            labels=["class", "state"],
        )  # fmt: skip
        for (path, state_of), count in _bounded(store.live_counts()).items():
            live.add_metric([path, state_of], count)
        yield live
        yield _single(
            "quince_store_paused", "Processes that are paused.", sum(store.paused_counts().values())
        )
        yield from self._queues()
        yield from self._limits()
        workers = store.workers()
        now = store.clock()
        alive = sum(now - worker.heartbeat <= EXPIRY_SECONDS for worker in workers)
        yield _single("quince_store_workers", "Workers that live.", alive)
        unsent = GaugeMetricFamily(
            "quince_store_notices_unsent", "Notices that are still to be sent.", labels=["receiver"]
        )
        for receiver in store.receivers():
            unsent.add_metric([receiver.name], receiver.pending)
        yield unsent

    def _queues(self) -> Iterator[Metric]:
        now = self._store.clock()
        rows: dict[str, QueueRow] = {}
        for row in self._store.queues():
            name = _name(row.name, rows)
            before = rows.get(name, QueueRow(name, 0, now))
            rows[name] = QueueRow(name, before.depth + row.depth, min(before.since, row.since))
        depth = GaugeMetricFamily(
            "quince_queue_depth", "Processes that are ready, and that no worker has.", labels=["queue"]
        )
        oldest = GaugeMetricFamily(
            "quince_queue_oldest_seconds", "For how long the first of them has been.", labels=["queue"]
        )
        for row in rows.values():
            depth.add_metric([row.name], row.depth)
            oldest.add_metric([row.name], max(0.0, now - row.since))
        yield from (depth, oldest)

    def _limits(self) -> Iterator[Metric]:
        slots, held, waiting = (
            GaugeMetricFamily(f"quince_limit_{name}", text, labels=["limit"])
            for name, text in (
                ("slots", "How many processes may hold a limit at once."),
                ("held", "How many do."),
                ("waiting", "How many wait for it."),
            )
        )
        rows = [row for row in self._store.limits() if row.owner is None][:MOST]
        for row in rows:
            if row.slots is not None:
                slots.add_metric([row.name], row.slots)
            held.add_metric([row.name], row.held)
            waiting.add_metric([row.name], row.waiting)
        yield from (slots, held, waiting)


def _name(queue: str, known: dict[str, QueueRow]) -> str:
    if queue.startswith(OWN_QUEUE):
        return OWN_QUEUE.rstrip(":")
    return queue if queue in known or len(known) < MOST else OTHER


def _bounded(counts: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The same with what is above the number of classes that have series of their own together."""
    bounded: dict[tuple[str, str], int] = {}
    classes: set[str] = set()
    for (path, state), count in sorted(counts.items(), key=lambda one: -one[1]):
        if len(classes) < MOST:
            classes.add(path)
        key = (path if path in classes else OTHER, state)
        bounded[key] = bounded.get(key, 0) + count
    return bounded


def _single(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
