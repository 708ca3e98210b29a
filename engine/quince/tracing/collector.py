"""Where spans go: a collector of OpenTelemetry, as `quince.toml` and the environment say."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision

from quince.tracing.ids import Place, place_of
from quince.tracing.spans import process_span
from quince.workspace.observation import Traces
from quince_persistence.contract import StoreContract
from quince_persistence.errors import PersistenceError
from quince_persistence.records import ProcessRow, Selection

SEND_SECONDS = 10.0
AT_END_SECONDS = 2.0
"""What a program takes at most that sends the spans of what it has ended itself."""


class NotTaken(Exception):
    """The collector takes no spans."""


class Collector:
    """Takes spans.

    Args:
        store: Where the rows of processes are that have ended.
        within: Seconds that sending may take.

    Attributes:
        resource: Of which all spans are.
    """

    def __init__(self, settings: Traces, store: StoreContract, within: float = SEND_SECONDS) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        self.resource = provider.resource.merge(_named(provider))
        self._store = store
        self._sampler = provider.sampler
        self._exporter = OTLPSpanExporter(endpoint=_traces_url(settings.endpoint), timeout=within)

    def send(self, spans: Sequence[ReadableSpan]) -> None:
        """Raises NotTaken: it does not take them; they are lost."""
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise NotTaken(f"the collector takes none of {len(spans)} spans, which are lost")

    def spans_of(self, pids: Sequence[int]) -> list[ReadableSpan]:
        """The spans of those of these processes that have ended."""
        try:
            rows = self._store.select(Selection(pids=pids))
        except PersistenceError:
            rows = ()
        places = [(row, place_of(row, self._store.identity)) for row in rows if row.terminated]
        return [process_span(row, place, self.resource) for row, place in places if self.takes(place, row)]

    def takes(self, place: Place, row: ProcessRow) -> bool:
        """What whoever has begun the trace says; else what the sampler of the environment says of it."""
        if place.sampled is not None:
            return place.sampled
        decision = self._sampler.should_sample(None, place.trace, row.class_path).decision
        return decision is not Decision.DROP

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def send_ends(settings: Traces, store: StoreContract, pids: Sequence[int]) -> None:
    """Send the spans of processes that this program has ended itself.

    Raises:
        NotTaken: the collector does not take them.
    """
    collector = Collector(settings, store, AT_END_SECONDS)
    try:
        collector.send(collector.spans_of(pids))
    finally:
        collector.close()


def _traces_url(endpoint: str | None) -> str | None:
    """Where a collector takes traces; None: as the environment says."""
    if endpoint is None or endpoint.rstrip("/").endswith("/v1/traces"):
        return endpoint
    return f"{endpoint.rstrip('/')}/v1/traces"


def _named(provider: TracerProvider) -> Resource:
    """The name of the service, unless the environment gives one."""
    named = str(provider.resource.attributes.get(SERVICE_NAME, "unknown_service"))
    return Resource({SERVICE_NAME: "quince"} if named.startswith("unknown_service") else {})
