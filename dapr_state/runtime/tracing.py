"""From Configuration and environment to a tracer, or to none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.golang import strconv
from dapr_state.observability.tracecontext import Contexts
from dapr_state.resources.configuration import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.observability.tracecontext import Tracer
    from dapr_state.resources.configuration import Tracing

_MILLISECONDS = 1000


def is_off(spec: Tracing) -> bool:
    """Whether contexts are not even echoed: a rate of 0 takes the whole layer away, as in daprd."""
    return bool(spec.sampling_rate) and spec.ratio == 0


def tracer(app_id: str, spec: Tracing, environ: Mapping[str, str]) -> Tracer | None:
    """The tracer, if there is a rate or an exporter. Raises ConfigurationError for what cannot be used."""
    endpoint = spec.otel.endpoint or _variable(environ, "ENDPOINT").rpartition("://")[2]
    exports = spec.stdout or spec.zipkin_endpoint or endpoint
    if is_off(spec):
        return None
    if not exports:
        return Contexts(spec.ratio) if spec.sampling_rate else None
    try:
        from dapr_state.observability import tracing  # noqa: PLC0415  the SDK is an extra, and takes 100 ms to import
    except ImportError as error:
        raise ConfigurationError(
            f"failed to setup tracing: {error}: install it with pip install 'dapr-state[tracing]'"
        ) from error

    from_environment = not spec.otel.endpoint and bool(endpoint)
    try:
        options = tracing.TracingOptions(
            ratio=1.0 if from_environment and not spec.sampling_rate else spec.ratio,
            stdout=spec.stdout,
            zipkin_endpoint=spec.zipkin_endpoint,
            otel_endpoint=endpoint,
            otel_protocol=_protocol(environ) if from_environment else spec.otel.protocol,
            otel_secure=environ.get("OTEL_EXPORTER_OTLP_INSECURE", "") != "true"
            if from_environment
            else spec.otel.is_secure,
            otel_headers=tracing.headers(spec.otel.headers or _pairs(_variable(environ, "HEADERS"))),
            otel_timeout=spec.otel.timeout if spec.otel.timeout is not None else _timeout(environ),
        )
    except ValueError as error:
        raise ConfigurationError(f"error setting tracing spec from env: {error}") from error
    return tracing.Tracer(app_id, options)


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Read a variable of the OTLP exporter; the one for traces alone wins."""
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _protocol(environ: Mapping[str, str]) -> str:
    return "http" if _variable(environ, "PROTOCOL").startswith("http") else "grpc"


def _pairs(text: str) -> list[str]:
    return [pair for pair in text.split(",") if pair.strip()]


def _timeout(environ: Mapping[str, str]) -> float | None:
    text = _variable(environ, "TIMEOUT")
    return strconv.atoi(text) / _MILLISECONDS if text else None
