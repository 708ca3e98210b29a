"""Who looks on at a worker, as `quince.toml` says: metrics, traces. What they need is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Sized
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Protocol

from quince.errors import WorkspaceError
from quince.metrics.targets import targets_of
from quince.worker.interfaces import Owner
from quince.worker.observing import Observer


class Observed(Owner, Protocol):
    """The worker that is looked at.

    Attributes:
        runners: What drives a process there, by pid.
    """

    runners: Sized

    @property
    def step_hosts(self) -> int: ...


class Observers:
    """Those of one worker; none, as a rule.

    Attributes:
        each: They.
        metrics_address: `host:port` where its metrics are served; None: nowhere.
        on_control: Is to hear of each control; None: nobody is.
    """

    def __init__(self) -> None:
        self.each: list[Observer] = []
        self.metrics_address: str | None = None
        self.on_control: Callable[[str], None] | None = None

    def open(self, worker: Observed, stack: ExitStack) -> None:
        """Begin, for as long as the stack lasts. Blocks for a moment.

        Raises:
            WorkspaceError: what they need is not installed, or no port is free.
        """
        location = worker.location
        if location.traces is not None:
            tracer = extra("quince.tracing.tracer", "otel").Tracer(
                location.traces, worker.id, worker.side, worker.store
            )
            stack.callback(tracer.close)
            self.each.append(tracer)
        if location.metrics is not None and worker.queues:  # a `run()` serves none
            self._serve(worker, stack)

    def _serve(self, worker: Observed, stack: ExitStack) -> None:
        assert worker.location.metrics is not None
        metrics = extra("quince.metrics.worker_metrics", "metrics").WorkerMetrics(
            worker.id, worker.name, slots=worker.slots.total
        )
        store_metrics = extra("quince.metrics.store_metrics", "metrics").StoreMetrics
        metrics.registry.register(store_metrics(worker.store))
        metrics.gauge("quince_slots_free", "How many of its slots are free.", lambda: worker.slots.free)
        metrics.gauge("quince_held", "Processes that it drives.", lambda: len(worker.runners))
        metrics.gauge("quince_step_hosts", "Programs in which its steps run.", lambda: worker.step_hosts)
        server = extra("quince.metrics.serving", "metrics").MetricsServer(
            worker.location.metrics, metrics.registry, lambda: targets_of(worker.store)
        )
        stack.callback(server.close)
        _count_commits(worker, metrics.commits.inc)
        self.metrics_address = server.address
        self.on_control = metrics.controlled
        self.each.append(metrics)


def _count_commits(worker: Observed, count: Callable[[], None]) -> None:
    resolve = worker.store.on_batch
    assert resolve is not None

    def counted(call: Callable[[], None]) -> object:
        count()
        return resolve(call)

    worker.store.on_batch = counted


def extra(module: str, name: str) -> Any:
    """A module that needs an extra.

    Raises:
        WorkspaceError: it is not installed; says how it is.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if (error.name or "").startswith("quince"):
            raise
        raise WorkspaceError(
            f'this needs what is not installed ({error.name}): pip install "quince[{name}]"'
        ) from error
