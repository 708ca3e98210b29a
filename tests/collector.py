"""A collector of traces, in tests: a real receiver of OTLP over HTTP, which keeps what has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.receivers import Post, Web, web_service


@dataclass(frozen=True)
class Span:
    """A span that has come; its numbers as hexadecimal digits."""

    name: str
    trace: str
    id: str
    parent: str
    failed: bool
    message: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    service: str
    seconds: float


@dataclass
class Collector:
    """What a collector has got."""

    web: Web
    spans: list[Span] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return self.web.url

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def take(self, post: Post) -> int:
        assert post.path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(post.body)
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                self.spans += [_span(span, service) for span in scope.spans]
        return 200


def _span(span: Any, service: str) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code == 2,
        span.status.message,
        _values(span.attributes),
        [_values(event.attributes) for event in span.events],
        service,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    with web_service() as web:
        got = Collector(web)
        web.answer = got.take
        yield got
