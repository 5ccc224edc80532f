"""Spans of the calls that are served: OpenTelemetry's SDK, set up as a Configuration file and the environment say.

Only imported once an exporter is set, or a rate at which to sample: until then a call pays nothing for it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

SCOPE: Final = "dapr-diagnostics"  # the instrumentation scope that daprd names
BATCH_MILLISECONDS: Final = 5000  # as daprd
FLUSH_SECONDS: Final = 1

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

    def __init__(self, app_id: str, options: TracingOptions) -> None:
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
        resource = Resource({"service.name": app_id}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(options.ratio)), resource=resource, shutdown_on_exit=False
        )
        for exporter in _exporters(options):
            self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=BATCH_MILLISECONDS))
        if options.stdout:
            self._provider.add_span_processor(SimpleSpanProcessor(_LogExporter()))
        self._tracer = self._provider.get_tracer(SCOPE)

    def start(self, name: str, parent: SpanContext | None, attributes: Mapping[str, str]) -> trace.Span:
        """Begin a span; end it with `finish`."""
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent else None
        return self._tracer.start_span(name, context, SpanKind.CLIENT, attributes)

    def close(self) -> None:
        """Export what waits; blocks for FLUSH_SECONDS at most, after which it is lost."""
        # a collector that is not there would hold the process for as long as the exporter retries
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
        if flushing.is_alive():
            log.warning("The last spans could not be exported within %d s and are lost", FLUSH_SECONDS)


def finish(span: trace.Span, problem: str | None = None) -> None:
    """End a span, in error if there was a problem."""
    if problem is not None:
        span.set_status(Status(StatusCode.ERROR, problem))
    span.end()


def traceparent(context: SpanContext) -> str:
    """The W3C header of a context."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def read_traceparent(version_and_ids: str, tracestate: str | None) -> SpanContext:
    """The context in a W3C header that is known to be valid."""
    _, trace_id, span_id, flags = version_and_ids.split("-")[:4]
    state = TraceState.from_header([tracestate]) if tracestate else None
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_flags(flags), trace_state=state
    )


def _flags(text: str) -> TraceFlags:
    return TraceFlags(int(text, 16))


# grpc-trace-bin: version 0, then field 0 with the trace id, field 1 with the span id, field 2 with the flags.

BINARY_SIZE: Final = 29


def to_binary(context: SpanContext) -> bytes:
    """The `grpc-trace-bin` of a context."""
    ids = (
        b"\0\0",
        context.trace_id.to_bytes(16),
        b"\1",
        context.span_id.to_bytes(8),
        b"\2",
        bytes((context.trace_flags,)),
    )
    return b"".join(ids)


def read_binary(data: bytes) -> SpanContext | None:
    """The context in a `grpc-trace-bin`, or None for one that is malformed or void."""
    if len(data) != BINARY_SIZE or (data[0], data[1], data[18], data[27]) != (0, 0, 1, 2):
        return None
    context = SpanContext(
        int.from_bytes(data[2:18]), int.from_bytes(data[19:27]), is_remote=True, trace_flags=TraceFlags(data[28])
    )
    return context if context.is_valid else None


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


def is_recording(span: trace.Span) -> bool:
    """Whether anybody will see what is noted on it."""
    return isinstance(span, Span) and span.is_recording()
