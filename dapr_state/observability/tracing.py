"""Spans of the calls that are served: OpenTelemetry's SDK, set up as a Configuration file and the environment say.

Only imported once an exporter is set: until then a call pays nothing for it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceFlags, TraceState

from dapr_state.observability.tracecontext import SpanContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

SCOPE: Final = "dapr-diagnostics"  # the instrumentation scope that daprd names
BATCH_MILLISECONDS: Final = 5000  # as daprd
FLUSH_SECONDS: Final = 1  # for the last spans, when the sidecar ends
MAX_ATTRIBUTE: Final = 1024  # characters: 2,048 spans wait for an exporter that hangs, each with some ten of them
MAX_ATTRIBUTES: Final = 64  # a caller's `dapr-…` headers are among them

log = logging.getLogger("dapr.runtime.trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingOptions:
    """What is exported where. Endpoints are "" where there is none; `timeout` is in seconds."""

    ratio: float  # of the traces that begin here
    stdout: bool = False
    zipkin_endpoint: str = ""
    otel_endpoint: str = ""  # host:port
    otel_protocol: str = ""  # grpc | http
    otel_secure: bool = True
    otel_headers: Mapping[str, str] | None = None
    otel_timeout: float | None = None


class Tracer:
    """Starts spans; `close` exports those that wait."""

    keeps = True

    def __init__(self, app_id: str, options: TracingOptions) -> None:
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
        resource = Resource({"service.name": app_id}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(options.ratio)),
            resource=resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attributes=MAX_ATTRIBUTES, max_attribute_length=MAX_ATTRIBUTE),
        )
        for exporter in _exporters(options):
            self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=BATCH_MILLISECONDS))
        if options.stdout:
            self._provider.add_span_processor(SimpleSpanProcessor(_LogExporter()))
        self._tracer = self._provider.get_tracer(SCOPE)

    def start(self, name: str, parent: SpanContext | None, attributes: Mapping[str, str]) -> _Kept:
        """Begin a span; attributes of clients are cut to MAX_ATTRIBUTE characters."""
        context = trace.set_span_in_context(trace.NonRecordingSpan(_remote(parent))) if parent else None
        return _Kept(self._tracer.start_span(name[:MAX_ATTRIBUTE], context, SpanKind.CLIENT, attributes))

    def close(self) -> None:
        """Export what waits; blocks for FLUSH_SECONDS at most, after which it is lost."""
        # a collector that is not there would hold the process for as long as the exporter retries
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
        if flushing.is_alive():
            log.warning("The last spans could not be exported within %d s and are lost", FLUSH_SECONDS)


class _Kept:
    """A span that an exporter may get."""

    __slots__ = ("_span", "context")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        made = span.get_span_context()
        state = made.trace_state.to_header()
        self.context = SpanContext(f"{made.trace_id:032x}", f"{made.span_id:016x}", made.trace_flags, state)

    def note(self, name: str, value: str) -> None:
        self._span.set_attribute(name, value)

    def finish(self, problem: str | None = None) -> None:
        if problem is not None:
            self._span.set_status(Status(StatusCode.ERROR, problem[:MAX_ATTRIBUTE]))
        self._span.end()


def _remote(parent: SpanContext) -> trace.SpanContext:
    state = TraceState.from_header([parent.state]) if parent.state else None
    flags = TraceFlags(parent.flags)
    return trace.SpanContext(int(parent.trace, 16), int(parent.span, 16), True, flags, state)


def headers(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` pairs as a mapping. Raises ValueError."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"missing '=' parse headers input: {name}")
        found[name.strip()] = unquote(value.strip())
    return found


def _exporters(options: TracingOptions) -> list[SpanExporter]:
    exporters: list[SpanExporter] = []
    if options.zipkin_endpoint:
        from opentelemetry.exporter.zipkin.json import ZipkinExporter  # noqa: PLC0415  only who exports pays for it

        exporters.append(ZipkinExporter(endpoint=options.zipkin_endpoint))
    if options.otel_endpoint and options.otel_protocol:
        exporters.append(_otlp(options))
    return exporters


def _otlp(options: TracingOptions) -> SpanExporter:
    if options.otel_protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415  as above

        return grpc.OTLPSpanExporter(
            options.otel_endpoint,
            insecure=not options.otel_secure,
            headers=dict(options.otel_headers or {}),
            timeout=options.otel_timeout,
        )
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415  as above

    scheme = "https" if options.otel_secure else "http"
    return http.OTLPSpanExporter(
        f"{scheme}://{options.otel_endpoint}/v1/traces", headers=options.otel_headers, timeout=options.otel_timeout
    )


class _LogExporter(SpanExporter):
    """One log line for each span, as daprd's stdout exporter."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            log.info(
                "[%s] Trace: %032x Span: %016x/%016x Time: [%s ->  %s] Annotations: []",
                span.name,
                span.context.trace_id if span.context else 0,
                span.parent.span_id if span.parent else 0,
                span.context.span_id if span.context else 0,
                span.start_time,
                span.end_time,
            )
        return SpanExportResult.SUCCESS
