"""Under which span of OpenTelemetry something is done, as a W3C `traceparent`. Imports nothing of that: where
nobody has loaded it, nobody has a span."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

step_span: ContextVar[str | None] = ContextVar("quince_step_span", default=None)
"""That of the step that runs here; None: it has none, or no step does."""


def current_span() -> str | None:
    """The caller's own span, if it has one."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def span_of_child() -> str | None:
    """Under which what a step submits is: the step, or a span that it has begun itself."""
    step = step_span.get()
    return None if step is None else current_span() or step


async def under(span: str, work: Awaitable[T]) -> T:
    """Do it under this span: of spans that it makes itself, it is the parent."""
    before = step_span.set(span)
    token = _attach(span)
    try:
        return await work
    finally:
        if token is not None:
            sys.modules["opentelemetry.context"].detach(token)
        step_span.reset(before)


def _attach(span: str) -> object | None:
    api, context = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.context")
    if api is None or context is None:
        return None
    _, trace_id, span_id, flags = span.split("-")
    known = api.SpanContext(int(trace_id, 16), int(span_id, 16), True, api.TraceFlags(int(flags, 16)))
    token: object = context.attach(api.set_span_in_context(api.NonRecordingSpan(known)))
    return token
