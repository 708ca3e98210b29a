"""From what has happened to spans of OpenTelemetry."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from quince.tracing.ids import Place
from quince_persistence.records import ProcessRow, State

SCOPE = InstrumentationScope("quince")
LONGEST = 2000


def process_span(row: ProcessRow, place: Place, resource: Resource) -> ReadableSpan:
    """The span of a process that has ended."""
    failed = row.state is not State.FINISHED or bool(row.exit_status)
    attributes = facts_of(row) | {"quince.state": row.state.value}
    if row.exit_status is not None:
        attributes["quince.exit_status"] = row.exit_status
    return make(
        name=row.class_path.rpartition(":")[2],
        trace=place.trace,
        span=place.span,
        parent=place.parent,
        began=row.created,
        ended=row.ended or row.updated,
        attributes=attributes,
        error=(row.exit_message or row.status or row.state.value) if failed else None,
        resource=resource,
    )


def facts_of(row: ProcessRow) -> dict[str, Any]:
    """What spans say of the process that they are of."""
    facts: dict[str, Any] = {
        "quince.pid": row.pid,
        "quince.root": row.root,
        "quince.class": row.class_path,
        "quince.queue": row.queue,
    }
    if row.key is not None:
        facts["quince.key"] = row.key
    return facts | {f"quince.label.{name}": value for name, value in row.options.labels.items()}


def make(
    *,
    name: str,
    trace: int,
    span: int,
    parent: int | None,
    began: float,
    ended: float,
    attributes: dict[str, Any],
    error: str | None,
    resource: Resource,
    exception: tuple[str, str] | None = None,
) -> ReadableSpan:
    """A span that has ended.

    Args:
        error: What has gone wrong; None: nothing.
        exception: Class and traceback of an exception.
    """
    flags, at = TraceFlags(TraceFlags.SAMPLED), int(max(began, ended) * 1e9)
    events = []
    if exception is not None:
        said = {"exception.type": exception[0], "exception.message": (error or "")[:LONGEST]}
        said["exception.stacktrace"] = exception[1]
        events.append(Event("exception", said, at))
    return ReadableSpan(
        name=name,
        context=SpanContext(trace, span, False, flags),
        parent=None if parent is None else SpanContext(trace, parent, True, flags),
        resource=resource,
        attributes=attributes,
        events=events,
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.OK) if error is None else Status(StatusCode.ERROR, error[:LONGEST]),
        start_time=int(began * 1e9),
        end_time=at,
        instrumentation_scope=SCOPE,
    )
