"""A span around each gRPC call, under daprd's names (runtime.md 9); put there only where an exporter is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.errors import DaprError
from dapr_state.observability import tracing
from dapr_state.security import tokens
from dapr_state.transports.grpc.native.observed import behavior_of, with_behavior, write_all
from dapr_state.transports.http import tracecontext

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc
    from opentelemetry.trace import Span

    from dapr_state.observability.tracing import Tracer

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

BINARY: Final = "grpc-trace-bin"
_OF_STATE: Final = frozenset({"GetState", "SaveState", "DeleteState"})  # the others have no attributes of their own


def traced(method: str, handler: Handler, tracer: Tracer) -> Handler:
    """The handler in a span, whatever its kind; the answer's first metadata say which."""
    behavior = behavior_of(handler)

    async def around(request: Any, context: Context) -> Any:
        span = _start(tracer, method, request, context)
        try:
            await context.send_initial_metadata(((BINARY, tracing.to_binary(span.get_span_context())),))
            answers = behavior(request, context)
            response = await (write_all(answers, context) if handler.response_streaming else answers)
        except BaseException as error:
            tracing.finish(span, error.message if isinstance(error, DaprError) else context.details() or "")
            raise
        tracing.finish(span)
        return response

    return with_behavior(handler, around)


def _start(tracer: Tracer, method: str, request: Any, context: Context) -> Span:
    metadata = dict(context.invocation_metadata() or ())
    attributes = {"dapr.api": method, "dapr.protocol": "grpc", **_subject(method, request)}
    attributes |= {
        name: value
        for name, value in metadata.items()
        if name.startswith("dapr-") and name != tokens.HEADER and isinstance(value, str)
    }
    return tracer.start(method, _parent(metadata), attributes)


def _parent(metadata: Mapping[str, Any]) -> Any:
    if found := tracing.read_binary(metadata.get(BINARY, b"")):
        return found
    parent = tracecontext.parent(metadata)
    return tracing.read_traceparent(parent, metadata.get("tracestate")) if parent else None


def _subject(method: str, request: Any) -> dict[str, str]:
    if method.rpartition("/")[2] not in _OF_STATE:
        return {}
    return {
        "db.system": "state",
        "db.connection_string": "state",
        "db.name": request.store_name,
        "db.statement": method,
        "rpc.service": "Dapr",
    }
