"""The spans of what a worker runs: each is sent when it has ended, by a thread that holds up nobody."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry.sdk.trace import ReadableSpan

from quince.tracing.collector import Collector
from quince.tracing.ids import place_of, traceparent
from quince.tracing.spans import facts_of, make
from quince.workspace.observation import Traces
from quince_messaging.side_tasks import Troubles
from quince_persistence.contract import StoreContract
from quince_persistence.records import TERMINAL, ProcessRow, State
from quince_persistence.records.steps import Step

MOST = 10_000
"""Spans that wait to be sent; while a collector takes none, the oldest go."""
AT_ONCE = 500
AGAIN_SECONDS = 1.0
LAST_SECONDS = 3.0
WORK = "sending traces"


class AttemptLike(Protocol):
    """See `quince.worker.observing.Attempt`."""

    row: ProcessRow
    number: int
    step: str | None
    began: float
    ended: float
    span: str | None


class Tracer:
    """An observer of a worker.

    Args:
        worker: Id of the worker.
        troubles: Is told while the collector does not answer.
        store: Where the rows of processes are that have ended.
    """

    def __init__(self, settings: Traces, worker: str, troubles: Troubles, store: StoreContract) -> None:
        self._worker, self._troubles, self._store = worker, troubles, store
        self._collector = Collector(settings, store)
        self._waiting: deque[Callable[[], ReadableSpan] | int] = deque(maxlen=MOST)
        self._awake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, name="quince-traces", daemon=True)
        self._thread.start()

    # What an observer is told

    def begins(self, attempt: AttemptLike) -> None:
        place = place_of(attempt.row, self._store.identity)
        span = secrets.randbits(64) or 1
        attempt.span = traceparent(place.trace, span, sampled=self._collector.takes(place, attempt.row))

    def ended(self, attempt: AttemptLike, step: Step | None, error: BaseException | None) -> None:
        if attempt.span is not None and attempt.span.endswith("01"):
            self._put(lambda: self._step_span(attempt, step, error))

    def changed(self, pid: int, state: State, class_path: str | None) -> None:
        if state in TERMINAL:
            self._put(pid)

    def close(self) -> None:
        """Send what there is, as far as that takes no longer than a few seconds."""
        self._closing.set()
        self._awake.set()
        self._thread.join(LAST_SECONDS)

    # On its own thread

    def _put(self, one: Callable[[], ReadableSpan] | int) -> None:
        self._waiting.append(one)
        self._awake.set()

    def _serve(self) -> None:
        while not self._closing.is_set() or self._waiting:
            if not self._waiting:
                self._awake.wait()
                self._awake.clear()
                continue
            some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                self._send(some)
                self._troubles.well(WORK)
            except Exception as error:  # whatever it is, the worker goes on, and the next spans are sent
                self._troubles.failed(WORK, error)
                if self._closing.wait(AGAIN_SECONDS):
                    return
        self._collector.close()

    def _send(self, some: Sequence[Callable[[], ReadableSpan] | int]) -> None:
        spans = [one() for one in some if not isinstance(one, int)]
        if pids := [one for one in some if isinstance(one, int)]:
            spans += self._collector.spans_of(pids)
        self._collector.send(spans)

    def _step_span(
        self, attempt: AttemptLike, step: Step | None, error: BaseException | None
    ) -> ReadableSpan:
        row = attempt.row
        place, name = place_of(row, self._store.identity), attempt.step or "step"
        failure, exception = _failure_of(step, error)
        attributes = facts_of(row) | {
            "quince.step": name,
            "quince.attempt": attempt.number,
            "quince.worker": self._worker,
        }
        if step is not None:
            attributes["quince.state"] = step.state.value
            attributes["quince.children"] = len(step.children)
        return make(
            name=f"{row.class_path.rpartition(':')[2]}.{name}",
            trace=place.trace,
            span=int((attempt.span or "").split("-")[2], 16),
            parent=place.span,
            began=attempt.began,
            ended=attempt.ended,
            attributes=attributes,
            error=failure,
            exception=exception,
            resource=self._collector.resource,
        )


def _failure_of(step: Step | None, error: BaseException | None) -> tuple[str | None, tuple[str, str] | None]:
    """What has gone wrong in an attempt, and the class and the traceback of its exception."""
    if step is None:
        return (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__), None
    for event in step.events:
        if event.kind == "attempt" and "traceback" in event.body:
            body = event.body
            return str(body.get("words", body.get("text"))), (str(body.get("error")), str(body["traceback"]))
    if step.state is State.EXCEPTED:
        return step.exit_message or "excepted", None
    if step.exit_status:
        return step.exit_message or f"exit status {step.exit_status}", None
    return None, None
