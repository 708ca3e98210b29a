"""What a worker counts: steps, ends of processes, commits, controls. An observer of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from quince_persistence.records import TERMINAL, ProcessRow, State
from quince_persistence.records.steps import Step

SECONDS = (0.01, 0.05, 0.2, 1.0, 5.0, 20.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
MOST = 200
"""So many classes, and so many steps, have series of their own; what comes later is `other`."""
OTHER = "other"


class AttemptLike(Protocol):
    """See `quince.worker.observing.Attempt`."""

    row: ProcessRow
    step: str | None
    began: float
    ended: float


class WorkerMetrics:
    """Those of one worker.

    Attributes:
        registry: With all of them.
    """

    def __init__(self, worker: str, name: str, *, slots: int) -> None:
        self.registry = CollectorRegistry()
        self._names: dict[str, set[str]] = {"class": set(), "step": set()}
        step = ("class", "step")
        where: Any = {"registry": self.registry}
        step = ("class", "step")
        self._seconds = Histogram(
            "quince_step_seconds", "How long attempts of steps took.", step, buckets=SECONDS, **where
        )
        self._attempts = Counter(
            "quince_step_attempts", "Attempts of steps, by how they ended.", (*step, "outcome"), **where
        )
        self._retries = Counter(
            "quince_step_retries", "Attempts that have failed, and are followed by another.", step, **where
        )
        self._ends = Counter(
            "quince_processes_ended", "Processes that this worker has ended.", ("class", "state"), **where
        )
        self.commits = Counter("quince_commits", "Transactions that this worker has committed.", **where)
        self._controls = Counter("quince_controls", "Controls that it has heard of.", ("verb",), **where)
        self._running = Gauge("quince_steps_running", "Steps that run, or wait for a step host.", **where)
        Gauge("quince_slots", "How many processes it runs at once.", **where).set(slots)
        info = Info("quince_worker", "Which worker this is.", **where)
        info.info({"worker": worker, "name": name, "version": version("quince")})

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """One more, that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def begins(self, attempt: AttemptLike) -> None:
        self._running.inc()

    def ended(self, attempt: AttemptLike, step: Step | None, error: BaseException | None) -> None:
        self._running.dec()
        who = self._known("class", attempt.row.class_path)
        what = self._known("step", attempt.step or "step")
        self._seconds.labels(who, what).observe(max(0.0, attempt.ended - attempt.began))
        self._attempts.labels(who, what, _outcome(step, error)).inc()
        if step is not None and step.failed and not step.paused:
            self._retries.labels(who, what).inc()

    def changed(self, pid: int, state: State, class_path: str | None) -> None:
        if state in TERMINAL:
            self._ends.labels(self._known("class", class_path or OTHER), state.value).inc()

    def controlled(self, verb: str) -> None:
        """It has heard of a control."""
        self._controls.labels(verb).inc()

    def _known(self, kind: str, name: str) -> str:
        known = self._names[kind]
        if name not in known:
            if len(known) >= MOST:
                return OTHER
            known.add(name)
        return name


def _outcome(step: Step | None, error: BaseException | None) -> str:
    """`done`, `failed`, `died` (its step host), or `stopped`."""
    if step is not None:
        return "failed" if step.failed or step.state is State.EXCEPTED else "done"
    return "died" if type(error).__name__ == "HostDied" else "stopped"
